"""Beside the sessions of others the retention reads what is due, by an index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from digitwin.conversations.retention.sweep import QUERIES
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.testing.databases import Databases
from tests.support.plans import explain, explain_generic, filled, indexes, scans_of

PEOPLE, EACH = 2_000, 60
DUE = f"SELECT id FROM users WHERE email = '{PEOPLE}@example.com'"

FILL = f"""
INSERT INTO users (id, email, name, subscription_tier)
SELECT gen_random_uuid(), n || '@example.com', 'N',
       CASE WHEN n = {PEOPLE} THEN 'free' ELSE (ARRAY['pro', 'enterprise'])[n % 2 + 1] END
FROM generate_series(1, {PEOPLE}) AS n;

INSERT INTO conversation_sessions (user_id, id, status, started_at, ended_at)
SELECT users.id, gen_random_uuid(), 'ended', now() - interval '900 days',
       now() - n * interval '10 days'
FROM users, generate_series(1, {EACH}) AS n;

ANALYZE users, conversation_sessions;
"""

NAME = "ix_conversation_sessions__ended_at"


@pytest.fixture(scope="module")
def digitwin_url(_digitwin_databases: Databases) -> Iterator[str]:
    with filled(_digitwin_databases, FILL) as url:
        yield url


async def _buffers(raw: asyncpg.Connection, query: Any, **values: Any) -> int:
    """Pages that a statement reads, wherever they are."""
    import json

    sql, args = query.sql, query.bind(values)
    plan = await raw.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", *args)
    top = json.loads(plan)[0]["Plan"]
    return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])


@pytest.mark.parametrize("generic", [False, True])
async def test_people_are_found_by_the_index(raw: asyncpg.Connection, generic: bool) -> None:
    values: Any = {"after": NOBODY, "size": 1000, "tiers": ["free"], "seconds": [86_400.0 * 400]}
    query = QUERIES["people_due"]
    plan = await (explain_generic(raw, query) if generic else explain(raw, query, **values))
    assert NAME in indexes(plan)
    assert "Seq Scan" not in {n["Node Type"] for n in scans_of(plan, "conversation_sessions")}


async def test_what_other_tiers_keep_is_not_read(raw: asyncpg.Connection) -> None:
    """All are older than the free tier keeps them; a page of people reads few."""
    values: Any = {"after": NOBODY, "size": 2000, "tiers": ["free"], "seconds": [86_400.0]}
    assert await _buffers(raw, QUERIES["people_due"], **values) < 200


@pytest.mark.parametrize("generic", [False, True])
async def test_the_due_of_one_person_are_a_range_of_it(
    raw: asyncpg.Connection, generic: bool
) -> None:
    person = await raw.fetchval(DUE)
    values: Any = {"user_id": person, "seconds": 86_400.0 * 400, "failed": [], "batch": 50}
    query = QUERIES["hold_due"]
    plan = await (explain_generic(raw, query) if generic else explain(raw, query, **values))
    assert indexes(plan) == {NAME}
    assert await _buffers(raw, query, **values) < 500


async def test_the_preview_reads_what_is_due(raw: asyncpg.Connection) -> None:
    person = await raw.fetchval(DUE)
    values: Any = {"people": [person], "tiers": ["free"], "seconds": [86_400.0 * 400]}
    plan = await explain(raw, QUERIES["preview"], **values)
    for table in ("conversation_sessions", "conversation_turns", "session_artifacts"):
        assert "Seq Scan" not in {node["Node Type"] for node in scans_of(plan, table)}, table
    assert NAME in indexes(plan)
