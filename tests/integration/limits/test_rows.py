"""What decisions do to the table: no bloat, no scan, no tie to anybody else's rows."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.kernel.sql.queries import Queries, load
from digitwin.limits.repository import RateLimitRepository
from tests.integration.limits.conftest import MONTH
from tests.support.plans import described, explain, explain_generic, kinds, scans_of

QUERIES = Queries("digitwin.limits")

ONE = {"subject": "s5", "endpoint": "/5", "window_ms": 60_000}
BOTH = {
    "subjects": ["s5", "s6"],
    "endpoints": ["/5", "/6"],
    "windows_ms": [60_000, 60_000],
    "limits": [10.0, 10.0],
}
ASKED = {**BOTH, "costs": [1.0, 1.0], "most": [1.0, 1.0], "tiers": ["", ""]}


async def test_decisions_rewrite_their_row_in_place(
    digitwin_db: Database, raw: asyncpg.Connection
) -> None:
    """Heap-only updates: no index is touched, and the page is cleaned on the way.

    All but one in a hundred on a quiet server; a transaction that is open anywhere on it, as
    those of other tests, keeps pages from being cleaned for a while.
    """
    for _ in range(40):
        for subject in range(20):
            await digitwin_db.limits.consume(f"s{subject}", "/chat", limit=10, window=MONTH)
    await digitwin_db.close()  # a backend reports its statistics at its end at the latest
    async with asyncio.timeout(20):
        while (row := await _statistics(raw))["n_tup_upd"] < 780:
            pass
    assert row["n_tup_hot_upd"] >= 0.7 * row["n_tup_upd"]


async def _statistics(raw: asyncpg.Connection) -> Any:
    await raw.execute("SELECT pg_stat_clear_snapshot()")
    return await raw.fetchrow(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'rate_limits'"
    )


async def test_the_table_has_no_ties(raw: asyncpg.Connection) -> None:
    for table in ("rate_limits", "rate_limit_usage"):
        assert not await raw.fetchval(
            "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"
            " AND $1::regclass IN (conrelid, confrelid)",
            table,
        )


@pytest.fixture
async def crowd(raw: asyncpg.Connection) -> asyncpg.Connection:
    """Twenty thousand buckets."""
    await raw.execute(
        "INSERT INTO rate_limits (subject, endpoint, window_ms, max_tokens, tokens)"
        " SELECT 's' || n, '/' || n % 7, 60000, 10, 10 FROM generate_series(1, 20000) AS n"
    )
    await raw.execute("ANALYZE rate_limits")
    return raw


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("peek", {**ONE, "limit": 10.0}),
        ("reset", {**ONE, "endpoint": None, "window_ms": None}),
        ("reset", ONE),
        ("settle", {**BOTH, "changes": [1.0, -1.0]}),
        ("consume_all", ASKED),
    ],
)
async def test_no_statement_scans_the_table(
    crowd: asyncpg.Connection, name: str, values: dict[str, Any]
) -> None:
    nodes = await explain(
        crowd, QUERIES.variant(name, who=load("digitwin.limits")["every_ask"]), **values
    )
    assert "Seq Scan" not in kinds(scans_of(nodes, "rate_limits"))
    assert scans_of(nodes, "rate_limits")


async def test_a_person_is_found_by_their_id(crowd: asyncpg.Connection) -> None:
    await crowd.execute(
        "INSERT INTO users (id, email, name) SELECT gen_random_uuid(), n || '@example.com', 'N'"
        " FROM generate_series(1, 5000) AS n"
    )
    await crowd.execute("ANALYZE users")
    query = QUERIES.variant("consume_all", who=load("digitwin.limits")["of_tier"])
    nodes = await explain(crowd, query, **ASKED, named=["pro"], user_id=UUID(int=7))
    assert not {"Seq Scan on users", "Seq Scan on rate_limits"} & {*described(nodes)}
    assert scans_of(nodes, "users")


async def test_a_decision_finds_its_row_by_the_key(crowd: asyncpg.Connection) -> None:
    nodes = await explain(crowd, QUERIES["consume"], **ONE, limit=10.0, cost=1.0)
    insert = next(node for node in nodes if node["Node Type"] == "ModifyTable")
    assert insert["Conflict Arbiter Indexes"] == ["rate_limits_pkey"]
    assert not scans_of(nodes, "rate_limits")


async def test_many_at_once_find_their_rows_by_the_key(crowd: asyncpg.Connection) -> None:
    await _reads_the_key(crowd)


async def test_so_they_do_by_a_plan_that_was_made_while_the_table_was_empty(
    raw: asyncpg.Connection,
) -> None:
    """A connection keeps its plan while the table fills."""
    await _reads_the_key(raw)


async def _reads_the_key(connection: asyncpg.Connection) -> None:
    together = [QUERIES.variant("consume_many", locked=locked) for locked in ("", "SKIP LOCKED")]
    for query in (*together, QUERIES["settle"]):
        nodes = await explain_generic(connection, query)
        assert kinds(scans_of(nodes, "rate_limits")) == {"Index Scan"}


async def test_a_decision_does_not_wait_for_the_disk_and_nothing_else_is_hastened(
    limits: RateLimitRepository, digitwin_db: Database
) -> None:
    """The setting ends with the statement's own transaction."""
    await limits.consume("ada", "/chat", limit=1, window=1)
    for _ in range(digitwin_db.settings.pool_max):
        assert await digitwin_db._core.aside.fetchval("SHOW synchronous_commit") == "on"
