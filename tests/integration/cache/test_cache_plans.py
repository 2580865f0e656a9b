"""No statement of the cache reads a whole table, however large it has grown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.kernel.sql.queries import Queries
from digitwin.testing import DatabaseFactory
from digitwin.testing.databases import Databases
from tests.integration.cache.conftest import TABLES

ROWS = 50_000
"""Of whom a hundredth is expired: 500 tags, 1,000 people, and as many marks."""

STATEMENTS = {
    "get": "",
    "read": "",
    "get_many": "",
    "lookup": "",
    "set": "",
    "set_of_person": "",
    "set_unless_invalidated": "",
    "delete": "",
    "purge_batch": "",
    "sweep by tag": "tags @> :tags::text[]",
    "sweep by person": "user_id = :user_id",
    "sweep by both": "user_id = :user_id AND tags @> :tags::text[]",
}


@pytest.fixture(scope="module")
def filled_url(_digitwin_databases: Databases) -> Iterator[str]:
    """One filled database for all tests here, none of which writes."""
    database = _digitwin_databases.create()
    asyncio.run(_fill(database.url))
    yield database.url
    _digitwin_databases.drop(database)


async def _fill(url: str) -> None:
    connection = await asyncpg.connect(url)
    for name, table in TABLES.items():
        value = "'x'" if name == "embeddings" else "'1'"
        await connection.execute(
            f"INSERT INTO {table} (user_id, key, value, tags, size_bytes, expires_at)"
            f" SELECT md5((n % 1000)::text)::uuid, n::text, {value}, ARRAY['t' || n % 500], 1,"
            f" now() + make_interval(secs => n - {ROWS // 100})"
            f" FROM generate_series(1, {ROWS}) AS n"
        )
    await connection.execute(
        "INSERT INTO cache_invalidations (store, kind, name, epoch)"
        " SELECT 'searches', 'tag', n::text, n FROM generate_series(1, 1000) AS n"
    )
    await connection.execute(
        "INSERT INTO erasures (id, subject, subject_hash, reason, completed_at)"
        " SELECT gen_random_uuid(), 'user', encode(sha256(n::text::bytea), 'hex'), 'x', now()"
        " FROM generate_series(1, 5000) AS n"
    )
    await connection.execute("ANALYZE")
    await connection.close()


@pytest.fixture
async def filled(filled_url: str, digitwin_db_factory: DatabaseFactory) -> Database:
    return await digitwin_db_factory(filled_url)


def nodes(plan: dict[str, Any]) -> Iterator[str]:
    yield f"{plan['Node Type']} on {plan.get('Relation Name', '-')}"
    for child in plan.get("Plans", ()):
        yield from nodes(child)


async def plan_of(db: Database, sql: str) -> list[str]:
    """What the planner would do for any values: as a prepared statement."""
    async with db._core.aside.transaction() as on:
        await on.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await on.execute(f"PREPARE asked AS {sql}")
        try:
            count = await on.fetchval(
                "SELECT cardinality(parameter_types) FROM pg_prepared_statements"
                " WHERE name = 'asked'"
            )
            values = f"({', '.join(['NULL'] * count)})" if count else ""
            row = await on.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE asked{values}")
        finally:
            await on.execute("DEALLOCATE asked")
    return list(nodes(json.loads(row)[0]["Plan"]))


@pytest.mark.parametrize("store", TABLES)
@pytest.mark.parametrize("statement", STATEMENTS)
async def test_a_statement_reads_an_index(filled: Database, store: str, statement: str) -> None:
    name, condition = statement.split()[0], STATEMENTS[statement]
    queries = filled.cache._tables[store]._queries
    query = queries.variant(name, condition=condition, notify_if="true")
    plan = await plan_of(filled, query.sql)
    assert not [node for node in plan if node.startswith("Seq Scan")], plan


async def test_so_does_counting_the_hits_of_many(filled: Database) -> None:
    plan = await plan_of(filled, Queries("digitwin.cache")["count_hits"].sql)
    assert "Seq Scan on llm_response_cache" not in plan, plan
