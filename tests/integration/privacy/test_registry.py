"""A table or column that is not declared is missed."""

from __future__ import annotations

import asyncpg

from tests.support.tables import IMPERSONAL, PERSONAL, SECURED

_COLUMNS = """
SELECT relname::text AS table, attname::text AS column
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
"""
_KEYS = """
SELECT conrelid::regclass::text AS table,
       ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY AS part (number, place)
             JOIN pg_attribute ON attrelid = conrelid AND attnum = number ORDER BY place) AS columns
FROM pg_constraint
WHERE contype = 'p' AND connamespace = current_schema()::regnamespace
"""
PERSONAL_NAMES = {"user_id", "actor_id", "subject", "email", "address", "user_text", "ref"}
"""Columns that make a table a person's, wherever they stand."""


async def there(raw: asyncpg.Connection) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for table, column in await raw.fetch(_COLUMNS):
        found.setdefault(table, set()).add(column)
    return found


def undeclared(tables: dict[str, set[str]]) -> list[str]:
    """What is in the database and not in the registry, or the other way round."""
    declared = {table.name: {*table.data.columns, *table.data.left_out} for table in PERSONAL}
    names = declared.keys() | {table.name for table in IMPERSONAL}
    wrong = [f"{table} is not declared" for table in tables.keys() - names]
    wrong += [f"{table} does not exist" for table in names - tables.keys()]
    for table, columns in declared.items():
        wrong += [f"{table}.{column}" for column in columns ^ tables.get(table, columns)]
    return sorted(wrong)


async def test_every_table_and_column_is_declared(raw: asyncpg.Connection) -> None:
    assert undeclared(await there(raw)) == []


async def test_a_new_table_and_a_new_column_are_missed(raw: asyncpg.Connection) -> None:
    await raw.execute("CREATE TABLE diaries (user_id uuid); ALTER TABLE users ADD shoe_size int")
    assert undeclared(await there(raw)) == ["diaries is not declared", "users.shoe_size"]


async def test_no_table_without_persons_has_a_column_of_theirs(
    raw: asyncpg.Connection,
) -> None:
    """But the two that keep a hash or a sealed value under such a name."""
    found = {
        f"{table}.{column}"
        for table, columns in (await there(raw)).items()
        for column in columns & PERSONAL_NAMES
        if table in {table.name for table in IMPERSONAL}
    }
    assert found == {"erasures.subject", "artifact_deletions.address"}


async def test_the_keys_are_the_tables_own(raw: asyncpg.Connection) -> None:
    keys = {row["table"]: tuple(row["columns"]) for row in await raw.fetch(_KEYS)}
    assert {table.name: table.data.key for table in PERSONAL} == {
        table.name: keys[table.name] for table in PERSONAL
    }


async def test_row_security_compares_a_column_of_the_table(
    raw: asyncpg.Connection,
) -> None:
    tables = await there(raw)
    assert all(column in tables[name] for name, column in SECURED.items())


KEPT_OF_THE_ERASED = {
    "usage_records": "figures of the owner's costs",
    "turn_sources": "quotes of the owner's documents",
    "session_writers": "names a process",
}
"""What stays of a session whose speaker is erased, and why."""


def test_a_table_of_a_session_says_what_stays_of_an_erased_speaker() -> None:
    """Also one that is made from turns, such as an index."""
    silent = {
        table.name
        for table in PERSONAL
        if {"session_id"} & {*table.data.columns, *table.data.left_out} and not table.data.redacted
    }
    assert silent == KEPT_OF_THE_ERASED.keys()


def test_a_column_is_exported_or_left_out() -> None:
    for table in PERSONAL:
        data = table.data
        assert not data.columns.keys() & data.left_out.keys()
        assert {*table.encrypted} | data.vectors <= data.columns.keys() | data.left_out.keys()
