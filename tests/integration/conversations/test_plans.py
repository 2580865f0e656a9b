"""At 20,000 sessions and 200,000 turns every statement reads a range of an index, in custom plans
and in the generic plan of a statement that is used often."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from digitwin.conversations import turns
from digitwin.conversations.queries import QUERIES, for_session
from digitwin.conversations.turn_log import MAX_INTEGER
from digitwin.database import Database
from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.sql import crud
from digitwin.kernel.sql.audit_step import parameters
from digitwin.kernel.sql.queries import Query
from digitwin.models import ConversationSession
from digitwin.testing.databases import Databases
from tests.integration.conversations.conftest import statements as sent_statements
from tests.support.plans import Node, explain, explain_generic, filled, indexes, scans_of

PEOPLE, SESSIONS, TURNS = 200, 20_000, 200_000

FILL = f"""
INSERT INTO users (id, email, name)
SELECT gen_random_uuid(), n || '@example.com', 'N' FROM generate_series(1, {PEOPLE}) AS n;

INSERT INTO participants (user_id, id, kind, ref)
SELECT id, gen_random_uuid(), 'guest', 'web-' || n FROM users, generate_series(1, 10) AS n;

INSERT INTO voice_models (user_id, id, name) SELECT id, gen_random_uuid(), 'V' FROM users;
INSERT INTO face_models (user_id, id, name) SELECT id, gen_random_uuid(), 'F' FROM users;

WITH owner AS (SELECT id, row_number() OVER () - 1 AS n FROM users),
guest AS (SELECT user_id, id, row_number() OVER (PARTITION BY user_id) - 1 AS n FROM participants)
INSERT INTO conversation_sessions (
    user_id, id, external_id, participant_id, voice_model_id, face_model_id, turn_count,
    status, ended_at, started_at
)
SELECT owner.id, gen_random_uuid(), 'chat-' || s, guest.id, voice.id, face.id, {TURNS // SESSIONS},
       CASE WHEN s % 100 = 0 THEN 'active' ELSE 'ended' END,
       CASE WHEN s % 100 = 0 THEN NULL ELSE now() END, now() - s * interval '1 minute'
FROM generate_series(1, {SESSIONS}) AS s
JOIN owner ON owner.n = s % {PEOPLE}
JOIN guest ON guest.user_id = owner.id AND guest.n = s % 10
JOIN voice_models AS voice ON voice.user_id = owner.id
JOIN face_models AS face ON face.user_id = owner.id;

INSERT INTO conversation_turns (
    user_id, session_id, position, id, user_text, asr_ms, idempotency_key
)
SELECT user_id, id, position, gen_random_uuid(), 'What was said', position,
       CASE WHEN position % 2 = 0 THEN 'key-' || position END
FROM conversation_sessions, generate_series(1, {TURNS // SESSIONS}) AS position;

ANALYZE users, participants, voice_models, face_models, conversation_sessions, conversation_turns;
"""

FIRST_COLUMNS = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid, 1, true) FROM pg_index
WHERE indrelid IN ('conversation_sessions'::regclass, 'conversation_turns'::regclass)
"""

NEW_TURN = turns.new_turn({"user_text": "u", "twin_text": "t"})


@pytest.fixture(scope="module")
def digitwin_url(_digitwin_databases: Databases) -> Iterator[str]:
    with filled(_digitwin_databases, FILL) as url:
        yield url


@pytest.fixture
async def one(digitwin_db: Database) -> ConversationSession:
    """One session among many."""
    return await ConversationSession.all().offset(SESSIONS // 2).first()  # type: ignore[return-value]


@pytest.fixture(params=["values known", "values unknown"])
def is_generic(request: pytest.FixtureRequest) -> bool:
    """Custom or generic plans."""
    return bool(request.param == "values unknown")


async def scans(
    raw: asyncpg.Connection, is_generic: bool, query: Query | str, *args: Any, **values: Any
) -> list[Node]:
    """The plan's nodes that read sessions or turns, with the first column of their index."""
    if is_generic:
        nodes = await explain_generic(raw, query)
    else:
        nodes = await explain(raw, query, *args, **values)
    found = scans_of(nodes, "conversation_")
    assert found
    first = dict(await raw.fetch(FIRST_COLUMNS))
    return [{**node, "First Column": first.get(node.get("Index Name"))} for node in found]


def assert_ranges(found: list[dict[str, Any]]) -> None:
    """Assert that each scan reads a range of an index and few rows; without a condition on the
    first column the whole index is read."""
    for node in found:
        # The condition of a bitmap scan is on its index scan, a child node.
        if node["Node Type"] != "Bitmap Heap Scan":
            assert "Index" in node["Node Type"], node
            assert re.search(rf"\({node['First Column']}\b", node["Index Cond"]), node
        assert node["Plan Rows"] <= 2 * SESSIONS / PEOPLE, node


async def test_the_fill_is_what_it_says(digitwin_db: Database) -> None:
    assert await digitwin_db.sessions.count() == SESSIONS
    assert (await digitwin_db.sessions.statistics()).turns == TURNS


@pytest.mark.parametrize(
    ("name", "key"),
    [("add_turn", None), ("add_turn_once", "key-2"), ("add_turn_once", "key-new")],
)
@pytest.mark.parametrize("owner_known", [True, False])
async def test_add_turn_reads_its_session_alone(
    raw: asyncpg.Connection,
    one: ConversationSession,
    is_generic: bool,
    owner_known: bool,
    name: str,
    key: str | None,
) -> None:
    turn = {**NEW_TURN, "idempotency_key": key}
    assert_ranges(await session_scans(raw, is_generic, name, one, owner_known, **turn))


@pytest.mark.parametrize("owner_known", [True, False])
async def test_add_turns_reads_its_session_alone(
    raw: asyncpg.Connection, one: ConversationSession, is_generic: bool, owner_known: bool
) -> None:
    columns = {column: [] for column in NEW_TURN}
    assert_ranges(await session_scans(raw, is_generic, "add_turns", one, owner_known, **columns))


@pytest.mark.parametrize("owner_known", [True, False])
async def test_turns_of_several_calls_read_their_session_alone(
    raw: asyncpg.Connection, one: ConversationSession, is_generic: bool, owner_known: bool
) -> None:
    new = [{**NEW_TURN, "id": uuid7(), "idempotency_key": f"key-{n}"} for n in range(50)]
    columns = {column: [turn[column] for turn in new] for column in NEW_TURN}
    found = await session_scans(raw, is_generic, "add_turns_once", one, owner_known, **columns)
    assert_ranges(found)
    assert "uq_conversation_turns__idempotency_key" in indexes(found)


@pytest.mark.parametrize("limit", [None, 10])
@pytest.mark.parametrize("owner_known", [True, False])
async def test_the_turns_of_a_session_are_one_range_of_the_key(
    raw: asyncpg.Connection,
    one: ConversationSession,
    is_generic: bool,
    owner_known: bool,
    limit: int | None,
) -> None:
    found = await session_scans(
        raw, is_generic, "with_turns", one, owner_known, before=MAX_INTEGER, limit=limit
    )
    assert_ranges(found)
    assert "conversation_turns_pkey" in indexes(found)
    assert owner_known or "uq_conversation_sessions__id" in indexes(found)


@pytest.mark.parametrize("owner_known", [True, False])
async def test_amend_turn_reads_its_turn_alone(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    one: ConversationSession,
    is_generic: bool,
    owner_known: bool,
) -> None:
    [turn] = (await digitwin_db.sessions.with_turns(one.id, limit=1)).turns
    values = {"turn_id": turn.id, "expected_version": None, **turns.amendment({"user_text": "u"})}
    assert_ranges(await session_scans(raw, is_generic, "amend_turn", one, owner_known, **values))


@pytest.mark.parametrize("name", ["status", "end", "reopen", "turn_version"])
@pytest.mark.parametrize("owner_known", [True, False])
async def test_a_look_at_a_session_reads_it_alone(
    raw: asyncpg.Connection,
    one: ConversationSession,
    is_generic: bool,
    owner_known: bool,
    name: str,
) -> None:
    values = {"reason": "completed", "ended_at": None, "turn_id": one.id}
    assert_ranges(await session_scans(raw, is_generic, name, one, owner_known, **values))


async def session_scans(
    raw: asyncpg.Connection,
    is_generic: bool,
    name: str,
    one: ConversationSession,
    owner_known: bool,
    **values: Any,
) -> list[dict[str, Any]]:
    query = for_session(name, one.user_id if owner_known else None)
    key = {"user_id": one.user_id, "session_id": one.id, "late_turns": 60.0}
    return await scans(raw, is_generic, query, **key, **values)


async def test_a_session_by_its_id_alone_is_found_by_its_id(
    raw: asyncpg.Connection, one: ConversationSession, is_generic: bool
) -> None:
    found = await scans(raw, is_generic, crud.select(ConversationSession, ("id",)), id=one.id)
    assert_ranges(found)
    assert indexes(found) == {"uq_conversation_sessions__id"}


@pytest.mark.parametrize("way", ["relation", "prefetch", "fetch"])
async def test_a_model_reads_its_turns_as_one_range_of_the_key(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    one: ConversationSession,
    is_generic: bool,
    way: str,
) -> None:
    ways: Any = {
        "relation": lambda: one.turns.all(),
        "prefetch": lambda: ConversationSession.filter(id=one.id).prefetch_related("turns"),
        "fetch": lambda: one.fetch_related("turns"),
    }
    async with sent_statements(digitwin_db) as sent:
        await ways[way]()
    found = await scans(raw, is_generic, *sent[-1])
    assert_ranges(found)
    session = {"uq_conversation_sessions__id", "conversation_sessions_pkey"}  # the turns' parent
    assert indexes(found) - session == {"conversation_turns_pkey"}


async def test_a_start_finds_the_participant_by_its_index(
    raw: asyncpg.Connection, one: ConversationSession
) -> None:
    given = {"user_id": one.user_id, "id": uuid7(), "metadata": "{}"}
    given |= {"participant_id": uuid7(), "kind": "guest", "ref": "web-1", "traits": "[]"}
    values = {**dict.fromkeys(QUERIES["start"].parameters), **given, **parameters()}
    nodes = await explain(raw, QUERIES["start"], **values)
    assert ["uq_participants__ref"] in [node.get("Conflict Arbiter Indexes") for node in nodes]


PAGE = " ORDER BY id LIMIT 51"


@pytest.mark.parametrize(
    ("fields", "tail"),
    [
        (("user_id",), PAGE),
        (("user_id", "status"), PAGE),
        (("user_id", "external_id"), PAGE),
        (("external_id",), PAGE),
        (("participant_id",), PAGE),
        (("voice_model_id",), PAGE),
        (("face_model_id",), PAGE),
        (("user_id", "participant_id"), PAGE),
    ],
)
async def test_a_page_of_sessions_reads_a_range(
    raw: asyncpg.Connection,
    one: ConversationSession,
    is_generic: bool,
    fields: tuple[str, ...],
    tail: str,
) -> None:
    query = crud.select(ConversationSession, fields, tail=tail)
    found = await scans(raw, is_generic, query, **{field: getattr(one, field) for field in fields})
    assert_ranges(found)


async def test_a_page_of_everybodys_sessions_reads_no_more_than_itself(
    raw: asyncpg.Connection, is_generic: bool
) -> None:
    for fields in ((), ("status",)):
        query = crud.select(ConversationSession, fields, tail=PAGE)
        [scan] = await scans(raw, is_generic, query, status="ended")
        assert scan["Node Type"] == "Index Scan"  # in the page's order: LIMIT ends it


async def test_one_persons_statistics_read_their_sessions_alone(
    raw: asyncpg.Connection, one: ConversationSession
) -> None:
    """PostgreSQL keeps to custom plans for this one: the generic plan would read all rows."""
    values = {"user_id": one.user_id, "since": None, "until": None}
    found = await scans(raw, False, QUERIES["statistics"], **values)
    assert {node["Node Type"] for node in found}.isdisjoint({"Seq Scan"})


async def test_the_sessions_of_a_period_are_found_by_their_start(raw: asyncpg.Connection) -> None:
    until = datetime.now(UTC) - timedelta(hours=1)
    values = {"user_id": None, "since": until - timedelta(hours=1), "until": until}
    found = await scans(raw, False, QUERIES["statistics"], **values)
    assert "ix_conversation_sessions__started_at" in indexes(found)
