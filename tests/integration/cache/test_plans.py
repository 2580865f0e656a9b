"""No statement of the cache reads a whole table, however large it has grown."""

from __future__ import annotations

from collections.abc import Iterator

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.kernel.sql.queries import Queries, Query
from digitwin.testing.databases import Databases
from tests.integration.cache.conftest import TABLES
from tests.support.plans import described, explain_generic, filled

ROWS = 50_000
"""Of whom a hundredth is expired: 500 tags, 1,000 people, and as many marks."""

STATEMENTS = {
    "get": "",
    "read": "",
    "read_each": "",
    "get_many": "",
    "lookup": "",
    "set": "",
    "set_of_person": "",
    "set_many": "",
    "set_unless_invalidated": "",
    "delete": "",
    "delete_many": "",
    "keys": "",
    "purge_batch": "",
    "sweep by tag": "tags @> :tags::text[]",
    "sweep by person": "user_id = :user_id",
    "sweep by both": "user_id = :user_id AND tags @> :tags::text[]",
}


VALUES = {"embeddings": "'x'", "searches": "'1'", "responses": "'1'"}

FILL = (
    *(
        f"INSERT INTO {TABLES[store]} (user_id, key, value, tags, size_bytes, expires_at)"
        f" SELECT md5((n % 1000)::text)::uuid, n::text, {value}, ARRAY['t' || n % 500], 1,"
        f" now() + make_interval(secs => n - {ROWS // 100})"
        f" FROM generate_series(1, {ROWS}) AS n"
        for store, value in VALUES.items()
    ),
    "INSERT INTO cache_invalidations (store, kind, name, epoch)"
    " SELECT 'searches', 'tag', n::text, n FROM generate_series(1, 1000) AS n",
    "INSERT INTO erasures (id, subject, subject_hash, reason, completed_at)"
    " SELECT gen_random_uuid(), 'user', encode(sha256(n::text::bytea), 'hex'), 'x', now()"
    " FROM generate_series(1, 5000) AS n",
    "ANALYZE",
)


@pytest.fixture(scope="module")
def digitwin_url(_digitwin_databases: Databases) -> Iterator[str]:
    with filled(_digitwin_databases, *FILL) as url:
        yield url


async def plan_of(raw: asyncpg.Connection, query: Query) -> list[str]:
    return described(await explain_generic(raw, query))


@pytest.mark.parametrize("store", TABLES)
@pytest.mark.parametrize("statement", STATEMENTS)
async def test_a_statement_reads_an_index(
    digitwin_db: Database, raw: asyncpg.Connection, store: str, statement: str
) -> None:
    name, condition = statement.split()[0], STATEMENTS[statement]
    queries = digitwin_db.cache._tables[store]._queries
    query = queries.variant(name, condition=condition, notify_if="true")
    plan = await plan_of(raw, query)
    assert not [node for node in plan if node.startswith("Seq Scan")], plan


async def test_so_does_counting_the_hits_of_many(raw: asyncpg.Connection) -> None:
    plan = await plan_of(raw, Queries("digitwin.cache")["count_hits"])
    assert "Seq Scan on llm_response_cache" not in plan, plan
