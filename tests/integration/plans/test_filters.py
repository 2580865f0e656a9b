"""Every filter of every repository has an index, and so has every foreign key."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.kernel.repository.entities import EntityRepository
from digitwin.kernel.sql import crud
from digitwin.testing import DatabaseFactory
from digitwin.testing.databases import Databases
from digitwin.users.repository import QUERIES

PEOPLE = 4_000
ROWS = 20_000

FILL = (
    f"""INSERT INTO users (id, email, name, subscription_tier)
        SELECT gen_random_uuid(), n || '@example.com', 'Name ' || n % 500,
               (ARRAY['free', 'pro', 'enterprise'])[n % 3 + 1]
        FROM generate_series(1, {PEOPLE}) AS n""",
    "INSERT INTO user_emails (address, user_id) SELECT email, id FROM users",
    *(
        f"""INSERT INTO {table} (user_id, id, name, provider, status)
            SELECT id, gen_random_uuid(), 'Model ' || n % 300, 'provider ' || n % 200,
                   (ARRAY['pending', 'training', 'ready', 'failed'])[n % 4 + 1]
            FROM users, generate_series(1, {ROWS // PEOPLE}) AS n"""
        for table in ("voice_models", "face_models")
    ),
    f"""INSERT INTO knowledge_documents (user_id, id, title, content, content_type, source_uri,
                                         content_hash, visibility, status)
        SELECT id, gen_random_uuid(), 'Title ' || n, 'Content', 'type/' || n % 20, 'uri:' || n,
               'hash ' || n, (ARRAY['owner', 'visitors'])[n % 2 + 1],
               (ARRAY['pending', 'ready', 'failed'])[n % 3 + 1]
        FROM users, generate_series(1, {ROWS // PEOPLE}) AS n""",
    f"""INSERT INTO conversation_sessions (user_id, id, external_id)
        SELECT id, gen_random_uuid(), 'session ' || n
        FROM users, generate_series(1, {ROWS // PEOPLE}) AS n""",
)


@pytest.fixture(scope="module")
def filled_url(_digitwin_databases: Databases) -> Iterator[str]:
    """One filled database for all tests here, none of which writes."""
    database = _digitwin_databases.create()
    asyncio.run(_fill(database.url))
    yield database.url
    _digitwin_databases.drop(database)


async def _fill(url: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in (*FILL, "ANALYZE"):
        await connection.execute(statement)
    await connection.close()


@pytest.fixture
async def filled(filled_url: str, digitwin_db_factory: DatabaseFactory) -> Database:
    return await digitwin_db_factory(filled_url)


def nodes(plan: dict[str, Any]) -> Iterator[str]:
    yield f"{plan['Node Type']} on {plan.get('Relation Name', '-')}"
    for child in plan.get("Plans", ()):
        yield from nodes(child)


async def plan_of(db: Database, sql: str, *args: Any) -> list[str]:
    """What the planner would do for such values, not for these alone: as a prepared statement."""
    async with db._core.aside.transaction() as on:
        await on.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        types = ", ".join("unknown" for _ in args)
        await on.execute(f"PREPARE asked{f' ({types})' if args else ''} AS {sql}")
        try:
            values = ", ".join("NULL" for _ in args)
            row = await on.fetchval(
                f"EXPLAIN (FORMAT JSON) EXECUTE asked{f' ({values})' if args else ''}"
            )
        finally:
            await on.execute("DEALLOCATE asked")
    return list(nodes(json.loads(row)[0]["Plan"]))


def _filters() -> list[tuple[str, str]]:
    of = {
        "users": ("name", "subscription_tier"),
        "voices": ("user_id", "name", "provider", "status", "is_active"),
        "faces": ("user_id", "name", "provider", "status", "is_active"),
        "sessions": (
            *("user_id", "external_id", "participant_id", "voice_model_id", "face_model_id"),
            "status",
        ),
        "documents": (
            *("user_id", "title", "content_type", "source_uri", "content_hash", "visibility"),
            "status",
        ),
    }
    return [(name, field) for name, fields in of.items() for field in fields]


@pytest.mark.parametrize(("name", "field"), _filters())
async def test_a_page_by_a_filter_reads_an_index(filled: Database, name: str, field: str) -> None:
    repository: EntityRepository[Any] = getattr(filled, name)
    model = repository.model
    sql = crud.select(model, (field,), tail=" ORDER BY id LIMIT 51").sql
    plan = await plan_of(filled, sql, None)
    assert f"Seq Scan on {model._meta.db_table}" not in plan, plan


@pytest.mark.parametrize("name", ["users", "voices", "faces", "sessions", "documents"])
@pytest.mark.parametrize("after", [False, True])
async def test_a_page_of_everything_reads_no_more_than_itself(
    filled: Database, name: str, after: bool
) -> None:
    model = getattr(filled, name).model
    sql = crud.select(model, (), after=after, tail=" ORDER BY id LIMIT 51").sql
    plan = await plan_of(filled, sql, *([None] if after else []))
    assert "Sort on -" not in plan, plan
    assert f"Seq Scan on {model._meta.db_table}" not in plan, plan


@pytest.mark.parametrize("name", ["users", "voices", "faces", "sessions", "documents"])
async def test_one_row_by_its_id_alone_reads_an_index(filled: Database, name: str) -> None:
    model = getattr(filled, name).model
    plan = await plan_of(filled, crud.select(model, ("id",)).sql, None)
    assert f"Index Scan on {model._meta.db_table}" in plan, plan


async def test_a_user_by_e_mail_is_two_look_ups(filled: Database) -> None:
    plan = await plan_of(filled, QUERIES["by_email"].sql, None)
    assert sorted(node for node in plan if "Scan" in node) == [
        "Index Scan on user_emails",
        "Index Scan on users",
    ]


async def test_every_foreign_key_has_an_index(digitwin_db: Database) -> None:
    """Deleting a parent looks for its children by the key's columns, in whatever order."""
    rows = await digitwin_db._core.db.fetch(
        """SELECT conname FROM pg_constraint AS key
           WHERE contype = 'f' AND conparentid = 0 AND NOT EXISTS (
               SELECT FROM pg_index WHERE indrelid = conrelid
               AND (indkey::smallint[])[0:cardinality(conkey) - 1] @> conkey)"""
    )
    left = {row["conname"] for row in rows}
    # A child that names its participant or its model is found by that column alone
    assert left == {
        "fk_conversation_sessions__participant_id",
        "fk_conversation_sessions__voice_model_id",
        "fk_conversation_sessions__face_model_id",
    }
    for name in left:
        column = name.partition("__")[2]
        assert await digitwin_db._core.db.fetchval(
            "SELECT true FROM pg_indexes WHERE indexname = $1",
            f"ix_conversation_sessions__{column}",
        )
