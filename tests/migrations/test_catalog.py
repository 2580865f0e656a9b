"""The real schema is the one that was reviewed, on every server version."""

from __future__ import annotations

import asyncpg

from digitwin.kernel.execution import opening
from digitwin.kernel.sql.tables import TABLES
from digitwin.models import __models__
from tests.migrations import catalog
from tests.support.tables import PERSONAL

LED_BY_OWNER = {table.name for table in PERSONAL if table.data.key[0] == "user_id"} - {"user_keys"}
"""Tables that a distributed database can place by their owner: the key begins with it."""
WITHOUT_FOREIGN_KEYS = {name for name, table in TABLES.items() if not table.rights.row_security} - {
    "audit_logs"
}
"""An open deletion of a user must not make them wait."""

OF_THE_SEARCH = {"indexed_to", "is_indexed"}
"""How far a session is indexed: no business of those who read it, nor of its own `save`."""

_TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
"""
_UNIQUE = """
SELECT table_.relname AS table_name, index_.relname AS index_name,
       ARRAY(SELECT attname::text FROM pg_attribute
             WHERE attrelid = indrelid AND attnum = ANY(indkey)) AS columns
FROM pg_index JOIN pg_class AS table_ ON table_.oid = indrelid
JOIN pg_class AS index_ ON index_.oid = indexrelid
WHERE indisunique AND table_.relnamespace = current_schema()::regnamespace
"""
_COLUMN_SETS = """
SELECT table_name::text, array_agg(column_name::text) AS columns FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name !~ '^audit_logs_' GROUP BY 1
"""
_SEARCH_PATHS = """
SELECT proname AS name, proconfig AS settings, current_schema() AS schema FROM pg_proc
WHERE pronamespace = current_schema()::regnamespace
"""
_FOREIGN = """
SELECT conname, conrelid::regclass::text AS table_name, confrelid::regclass::text AS parent,
       confdeltype::text AS on_delete,
       ARRAY(SELECT attname::text FROM pg_attribute
             WHERE attrelid = conrelid AND attnum = ANY(conkey)) AS columns,
       ARRAY(SELECT attname::text FROM pg_attribute
             WHERE attrelid = conrelid AND attnum = ANY(confdelsetcols)) AS nulled
FROM pg_constraint WHERE contype = 'f' AND conparentid = 0
"""


async def test_the_schema_is_the_committed_one(migrated: asyncpg.Connection) -> None:
    assert await catalog.read(migrated) == catalog.SNAPSHOT.read_text()


async def test_a_difference_shows(migrated: asyncpg.Connection) -> None:
    await migrated.execute("ALTER TABLE users DROP CONSTRAINT ck_users__name")
    assert await catalog.read(migrated) != catalog.SNAPSHOT.read_text()


async def test_every_table_is_declared(migrated: asyncpg.Connection) -> None:
    tables = {row["relname"] for row in await migrated.fetch(_TABLES)}
    assert tables == TABLES.keys()


async def test_every_table_but_the_books_has_a_model(migrated: asyncpg.Connection) -> None:
    tables = {row["relname"] for row in await migrated.fetch(_TABLES)}
    without = {name for name, table in TABLES.items() if table.model is None}
    assert {model._meta.db_table for model in __models__} == tables - without
    assert without == {
        "aerich",
        "conversation_words",
        "digitwin_schema",
        "session_writers",
        "user_keys",
    }


async def test_models_and_tables_have_the_same_columns(migrated: asyncpg.Connection) -> None:
    opening.wire_models()
    for model in __models__:
        rows = await migrated.fetch(
            "SELECT column_name::text FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND table_name = $1 AND is_generated = 'NEVER'",
            model._meta.db_table,
        )
        expected = {row["column_name"] for row in rows} - OF_THE_SEARCH
        assert set(model._meta.fields_db_projection.values()) == expected, model


async def test_unique_indexes_of_personal_tables_contain_the_owner(
    migrated: asyncpg.Connection,
) -> None:
    """Else Citus could not distribute them by it. It goes without the one on the id alone."""
    rows = await migrated.fetch(_UNIQUE)
    assert {row["table_name"] for row in rows} >= LED_BY_OWNER
    for row in rows:
        if row["table_name"] in LED_BY_OWNER and row["columns"] != ["id"]:
            assert "user_id" in row["columns"], row["index_name"]


async def test_one_id_is_one_row(migrated: asyncpg.Connection) -> None:
    """But for the audit trail, whose ids only the library makes."""
    rows = await migrated.fetch(_COLUMN_SETS)
    with_id = {row["table_name"] for row in rows if "id" in row["columns"]}
    unique = {
        row["table_name"] for row in await migrated.fetch(_UNIQUE) if row["columns"] == ["id"]
    }
    assert with_id - unique == {"audit_logs"}


async def test_a_function_finds_our_tables_before_temporary_ones(
    migrated: asyncpg.Connection,
) -> None:
    paths = await migrated.fetch(_SEARCH_PATHS)
    assert paths
    for row in paths:
        assert row["settings"] == [f"search_path={row['schema']}, pg_temp"], row["name"]


async def test_foreign_keys_contain_the_owner_and_say_what_a_deletion_does(
    migrated: asyncpg.Connection,
) -> None:
    rows = await migrated.fetch(_FOREIGN)
    assert rows
    for row in rows:
        assert row["table_name"] in LED_BY_OWNER
        assert row["parent"] in LED_BY_OWNER | {"users"}
        assert "user_id" in row["columns"], row["conname"]
        assert row["on_delete"] in {"c", "n"}, row["conname"]  # CASCADE, SET NULL
        assert "user_id" not in row["nulled"], row["conname"]
        assert bool(row["nulled"]) == (row["on_delete"] == "n"), row["conname"]


async def test_caches_and_limits_have_no_foreign_keys(migrated: asyncpg.Connection) -> None:
    referring = {row["table_name"] for row in await migrated.fetch(_FOREIGN)}
    assert not referring & WITHOUT_FOREIGN_KEYS


async def test_the_order_of_erasure_is_that_of_the_foreign_keys(
    migrated: asyncpg.Connection,
) -> None:
    order = [table.name for table in PERSONAL]
    for row in await migrated.fetch(_FOREIGN):
        assert order.index(row["table_name"]) < order.index(row["parent"]), row["conname"]
