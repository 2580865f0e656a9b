"""At 40,000 turns of 200 people every statement reads a range of an index: as the owner of the
tables and as the role of a scope, in custom plans and in a generic one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from digitwin.conversations.content.queries import for_session, totals_query
from digitwin.conversations.latest.queries import query as latest
from digitwin.conversations.queries import QUERIES
from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.sql import crud
from digitwin.kernel.sql.queries import Query
from digitwin.testing.databases import Databases
from tests.support.plans import Node, explain, explain_generic, filled, indexes, scans_of

PEOPLE, SESSIONS, TURNS = 200, 4_000, 40_000

FILL = f"""
INSERT INTO users (id, email, name)
SELECT gen_random_uuid(), n || '@example.com', 'N' FROM generate_series(1, {PEOPLE}) AS n;

INSERT INTO knowledge_documents (user_id, id, title, content, content_hash)
SELECT id, gen_random_uuid(), 'D', 'c', 'h' FROM users, generate_series(1, 10);

INSERT INTO participants (user_id, id, kind) SELECT id, gen_random_uuid(), 'guest'
FROM users, generate_series(1, 4);

INSERT INTO conversation_sessions (user_id, id, turn_count, item_count, participant_id)
SELECT user_id, gen_random_uuid(), {TURNS // SESSIONS}, {2 * TURNS // SESSIONS}, id
FROM participants, generate_series(1, {SESSIONS // PEOPLE // 4});

INSERT INTO conversation_turns (user_id, session_id, position, id, user_text)
SELECT user_id, id, position, gen_random_uuid(), 'What was said'
FROM conversation_sessions, generate_series(1, {TURNS // SESSIONS}) AS position;

INSERT INTO turn_items (user_id, session_id, number, id, turn_id, kind, item_id)
SELECT user_id, session_id, 2 * position - n, gen_random_uuid(), id, 'message',
       'i-' || position || n
FROM conversation_turns, generate_series(0, 1) AS n;

INSERT INTO usage_records (user_id, session_id, id, turn_id, kind, model, request_id, used_at)
SELECT user_id, session_id, gen_random_uuid(), id, 'llm', 'm', 'r-' || position,
       now() - position * interval '1 day'
FROM conversation_turns;

INSERT INTO turn_sources (user_id, session_id, turn_id, id, document_id, quote)
SELECT DISTINCT ON (turn.id) turn.user_id, session_id, turn.id, gen_random_uuid(), document.id, 'q'
FROM conversation_turns AS turn JOIN knowledge_documents AS document USING (user_id);

ANALYZE;
"""
TABLES = (
    *("conversation_sessions", "conversation_turns", "knowledge_documents"),
    *("turn_items", "turn_sources", "usage_records"),
)
FIRST_COLUMNS = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid, 1, true) FROM pg_index
WHERE indrelid = ANY($1::regclass[])
"""
OF_TURNS = " AND turn_id = ANY(ARRAY(SELECT id FROM turn))"
Turn = asyncpg.Record


@pytest.fixture(scope="module")
def digitwin_url(_digitwin_databases: Databases) -> Iterator[str]:
    with filled(_digitwin_databases, FILL) as url:
        yield url


@pytest.fixture
async def turn(raw: asyncpg.Connection) -> Turn:
    """One turn among many."""
    found = await raw.fetchrow(
        f"SELECT user_id, session_id, id FROM conversation_turns OFFSET {TURNS // 2} LIMIT 1"
    )
    assert found is not None
    return found


@pytest.fixture(params=["values known", "values unknown"])
def is_generic(request: pytest.FixtureRequest) -> bool:
    """Custom or generic plans."""
    return bool(request.param == "values unknown")


@pytest.fixture(params=["unscoped", "scoped"])
async def asked(request: pytest.FixtureRequest, raw: asyncpg.Connection, turn: Turn) -> Any:
    """The connection, in a scope or not."""
    async with raw.transaction():
        if request.param == "scoped":
            person = str(turn["user_id"])
            await raw.execute("SELECT set_config('digitwin.user_id', $1, true)", person)
            await raw.execute("SET LOCAL ROLE digitwin_app")
            assert await raw.fetchval("SELECT count(*) FROM users") == 1
        yield raw


async def scans(
    raw: asyncpg.Connection, is_generic: bool, query: Query, **values: Any
) -> list[Node]:
    """The plan's nodes that read our tables, with the first column of their index."""
    if is_generic:
        nodes = await explain_generic(raw, query)
    else:
        nodes = await explain(raw, query, **values)
    first = dict(await raw.fetch(FIRST_COLUMNS, list(TABLES)))
    found = [node for table in TABLES for node in scans_of(nodes, table)]
    assert found
    return [{**node, "First Column": first.get(node.get("Index Name"))} for node in found]


def assert_ranges(found: list[dict[str, Any]], at_most: int) -> None:
    """Assert that each scan reads a range of an index, and few rows."""
    for node in found:
        # The condition of a bitmap scan is on its index scan, a child node.
        if node["Node Type"] != "Bitmap Heap Scan":
            assert "Index" in node["Node Type"], node
            assert re.search(rf"\(?{node['First Column']}\b", node.get("Index Cond", "")), node
        assert node["Plan Rows"] <= at_most, node


PAGE = {"kinds": None, "after": 0, "limit": 51}
FORWARD = {"beyond": ">", "direction": "ASC"}
BACKWARD = {"beyond": "<", "direction": "DESC"}


@pytest.mark.parametrize("name", ["latest_items", "pop_item"])
@pytest.mark.parametrize("has_own", [True, False])
@pytest.mark.parametrize("owner_known", [True, False])
async def test_the_newest_items_are_ranges_of_turns(
    asked: asyncpg.Connection,
    turn: Turn,
    is_generic: bool,
    owner_known: bool,
    has_own: bool,
    name: str,
) -> None:
    query = latest(name, known_owner=owner_known, has_own=has_own)
    values = {
        "user_id": turn["user_id"],
        "session_id": turn["session_id"],
        "prefix": "i-",
        "turn_ids": [turn["id"]],
        "limit": 5,
    }
    assert_ranges(await scans(asked, is_generic, query, **values), at_most=30)


@pytest.mark.parametrize("order", [FORWARD, BACKWARD])
@pytest.mark.parametrize("owner_known", [True, False])
async def test_items_of_a_session_are_a_range_of_the_key(
    asked: asyncpg.Connection, turn: Turn, is_generic: bool, owner_known: bool, order: Any
) -> None:
    user = turn["user_id"] if owner_known else None
    query = for_session("items_of_session", user, **order)
    values = {"user_id": user, "session_id": turn["session_id"], **PAGE}
    found = await scans(asked, is_generic, query, **values)
    assert_ranges(found, 100)
    assert "turn_items_pkey" in indexes(found)


@pytest.mark.parametrize("name", ["items_of_turn", "sources"])
@pytest.mark.parametrize("owner_known", [True, False])
async def test_what_is_inside_a_turn_is_found_by_the_turn(
    asked: asyncpg.Connection, turn: Turn, is_generic: bool, owner_known: bool, name: str
) -> None:
    user = turn["user_id"] if owner_known else None
    query = for_session(name, user, **FORWARD)
    values = {"user_id": user, "turn_id": turn["id"], "session_id": None, **PAGE}
    found = await scans(asked, is_generic, query, **values)
    assert_ranges(found, 100)
    expected = "ix_turn_items__turn_id" if name == "items_of_turn" else "ix_turn_sources__turn_id"
    assert expected in indexes(found)


@pytest.mark.parametrize("limit", [None, 5])
@pytest.mark.parametrize("owner_known", [True, False])
async def test_turns_with_what_is_inside_them_are_ranges(
    asked: asyncpg.Connection, turn: Turn, is_generic: bool, owner_known: bool, limit: int | None
) -> None:
    user = turn["user_id"] if owner_known else None
    query = for_session("with_contents", user, of_turns="" if limit is None else OF_TURNS)
    values = {"user_id": user, "session_id": turn["session_id"], "limit": limit}
    found = await scans(asked, is_generic, query, **values)
    assert_ranges(found, 200)


@pytest.mark.parametrize("request_id", [None, "r-1"])
@pytest.mark.parametrize("owner_known", [True, False])
async def test_usage_is_stored_by_its_session_alone(
    asked: asyncpg.Connection,
    turn: Turn,
    is_generic: bool,
    owner_known: bool,
    request_id: str | None,
) -> None:
    user = turn["user_id"] if owner_known else None
    query = for_session("add_usage", user)
    values = dict.fromkeys(query.parameters) | {
        "user_id": user,
        "session_id": turn["session_id"],
        "turn_id": turn["id"],
        "id": uuid7(),
        "kind": "llm",
        "request_id": request_id,
    }
    found = await scans(asked, is_generic, query, **values)
    assert_ranges(found, 100)
    assert "uq_conversation_turns__id" in indexes(found)
    if is_generic or request_id is not None:
        assert "uq_usage_records__request_id" in indexes(found)


@pytest.mark.parametrize("owner_known", [True, False])
async def test_stored_items_are_found_by_their_ids(
    asked: asyncpg.Connection, turn: Turn, is_generic: bool, owner_known: bool
) -> None:
    user = turn["user_id"] if owner_known else None
    values = {"user_id": user, "session_id": turn["session_id"], "ids": [uuid7()], "item_ids": []}
    found = await scans(asked, is_generic, for_session("stored_items", user), **values)
    assert_ranges(found, 100)


@pytest.mark.parametrize("given", ["user_id", "session_id", "participant_id", "since"])
async def test_totals_read_what_they_add_up_alone(
    asked: asyncpg.Connection, raw: asyncpg.Connection, turn: Turn, given: str
) -> None:
    """For values that are known: PostgreSQL keeps to custom plans where they are better."""
    session = "SELECT participant_id FROM conversation_sessions WHERE id = $1"
    values = {
        "user_id": turn["user_id"],
        "session_id": turn["session_id"],
        "participant_id": await raw.fetchval(session, turn["session_id"]),
        "since": datetime.now(UTC) - timedelta(days=2),
        "time_zone": "UTC",
        "limit": 10,
    }
    names = ("user_id",) if given == "user_id" else ("user_id", given)
    found = await scans(asked, False, totals_query(("model", "day"), names), **values)
    assert_ranges(found, 2 * TURNS // PEOPLE)


async def test_one_persons_statistics_read_their_records_alone(
    asked: asyncpg.Connection, turn: Turn
) -> None:
    values = {"user_id": turn["user_id"], "since": None, "until": None}
    found = await scans(asked, False, QUERIES["statistics"], **values)
    assert {node["Node Type"] for node in found}.isdisjoint({"Seq Scan"})


async def test_quotes_to_clear_are_found_without_reading_the_others(
    asked: asyncpg.Connection, turn: Turn, is_generic: bool
) -> None:
    [query] = crud.clear_orphans("knowledge_documents")
    found = await scans(asked, is_generic, query, user_id=turn["user_id"])
    assert indexes(found) == {"ix_turn_sources__orphaned"}
