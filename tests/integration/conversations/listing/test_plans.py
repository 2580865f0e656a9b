"""Pages of somebody with many sessions, beside others': each reads no more than itself.

As the role of a scope, for which row security applies, and in the generic plan that takes over
when a statement is used often.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin.conversations.listing.sessions import QUERIES
from digitwin.kernel.sql import crud
from digitwin.kernel.sql.queries import Query
from digitwin.models import ConversationSession
from digitwin.testing.databases import Databases
from tests.support.plans import explain, explain_generic, filled, indexes, kinds, scans_of

HERS, OTHERS, PEOPLE, GUESTS = 10_000, 10_000, 100, 200
ADA = UUID("00000000-0000-7000-8000-00000000000a")

FILL = f"""
INSERT INTO users (id, email, name)
SELECT gen_random_uuid(), n || '@example.com', 'N' FROM generate_series(1, {PEOPLE}) AS n;
INSERT INTO users (id, email, name) VALUES ('{ADA}', 'ada@example.com', 'Ada');

INSERT INTO participants (user_id, id, kind, ref)
SELECT id, gen_random_uuid(), 'guest', 'web-' || n
FROM users, generate_series(0, {GUESTS} - 1) AS n;

WITH owner AS (SELECT id, row_number() OVER () - 1 AS n FROM users WHERE id <> '{ADA}'),
started AS (
    SELECT '{ADA}'::uuid AS user_id, n FROM generate_series(1, {HERS}) AS n
    UNION ALL
    SELECT owner.id, s FROM generate_series(1, {OTHERS}) AS s JOIN owner ON owner.n = s % {PEOPLE}
)
INSERT INTO conversation_sessions (user_id, id, participant_id, turn_count)
SELECT user_id, gen_random_uuid(), who.id, 2
FROM started JOIN participants AS who USING (user_id)
WHERE who.ref = 'web-' || CASE WHEN n % 2 = 0 THEN 0 ELSE n % {GUESTS} END;

INSERT INTO conversation_turns (user_id, session_id, position, id, user_text)
SELECT user_id, id, position, gen_random_uuid(), 'What was said'
FROM conversation_sessions, generate_series(1, 2) AS position;

ANALYZE users, participants, conversation_sessions, conversation_turns;
"""
"""Half of everybody's sessions are with one guest."""


@pytest.fixture(scope="module")
def digitwin_url(_digitwin_databases: Databases) -> Iterator[str]:
    with filled(_digitwin_databases, FILL) as url:
        yield url


def page(beyond: str | None, direction: str, *names: str) -> Query:
    tail = f" ORDER BY id{direction} LIMIT 51"
    return crud.select(ConversationSession, ("user_id", *names), beyond=beyond, tail=tail)


def overview(of: Query, direction: str) -> Query:
    sql = QUERIES.variant("overviews", page=of.sql, direction=direction).sql
    return replace(of, sql=sql)


PAGES = pytest.mark.parametrize(
    ("beyond", "direction"),
    [(None, ""), (">", ""), (None, " DESC"), ("<", " DESC")],
    ids=["oldest", "next", "newest", "previous"],
)
FILTERS = pytest.mark.parametrize("names", [(), ("participant_id",), ("own_participant",)])
KNOWN = pytest.mark.parametrize("is_generic", [False, True], ids=["known", "unknown"])


async def plan_of(raw: asyncpg.Connection, is_generic: bool, query: Query) -> list[dict[str, Any]]:
    who = await raw.fetchrow(
        "SELECT id, kind, ref FROM participants WHERE user_id = $1 AND ref = 'web-7'", ADA
    )
    middle = await raw.fetchval("SELECT id FROM conversation_sessions ORDER BY id OFFSET 9000")
    async with raw.transaction():
        await raw.execute("SET LOCAL ROLE digitwin_app")
        await raw.execute(f"SET LOCAL digitwin.user_id = '{ADA}'")
        if is_generic:
            return await explain_generic(raw, query)
        values = {"participant_id": who["id"], "own_participant": [who["kind"], who["ref"]]}
        return await explain(raw, query, user_id=ADA, after=middle, **values)


@PAGES
@FILTERS
@KNOWN
async def test_a_page_is_read_in_the_order_of_an_index(
    raw: asyncpg.Connection,
    beyond: str | None,
    direction: str,
    names: tuple[str, ...],
    is_generic: bool,
) -> None:
    """Where the values are known, few sessions of a guest may be sorted."""
    nodes = await plan_of(raw, is_generic, page(beyond, direction, *names))
    if names and not is_generic:
        found = scans_of(nodes, "conversation_sessions")
        assert all(node["Plan Rows"] <= HERS / GUESTS * 2 for node in found), found
        return
    by = "user_participant" if names else "conversation_sessions_pkey"
    assert any(by in name for name in indexes(nodes)), indexes(nodes)
    for node in scans_of(nodes, "conversation_sessions"):
        assert node["Node Type"] == "Index Scan"
        assert "user_id" in node["Index Cond"]
    assert not kinds(nodes) & {"Sort", "Seq Scan", "BitmapAnd"}


@PAGES
@FILTERS
@KNOWN
async def test_an_overview_adds_look_ups_for_its_page_alone(
    raw: asyncpg.Connection,
    beyond: str | None,
    direction: str,
    names: tuple[str, ...],
    is_generic: bool,
) -> None:
    query = overview(page(beyond, direction, *names), direction)
    nodes = await plan_of(raw, is_generic, query)
    assert "Seq Scan" not in kinds(nodes)
    assert "conversation_turns_pkey" in indexes(nodes)
    for node in scans_of(nodes, "conversation_turns"):
        assert "Index" in node["Node Type"]
        assert node["Plan Rows"] <= 10
    for node in scans_of(nodes, "participants"):  # the page's, or all of a person who has few
        assert node["Plan Rows"] <= 2 * GUESTS
