"""One statement writes whatever it carries, and a recorder's writes are stored once each."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin.conversations.fields import MAX_TEXT
from digitwin.conversations.living.writes import ItemWrite, SourceWrite, TurnWrite, UsageWrite
from digitwin.conversations.living.writing import write
from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import InvalidStateError, NotFoundError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, ConversationTurn, User
from tests.integration.conversations.conftest import assert_gapless, statements
from tests.integration.conversations.living.conftest import age, stored
from tests.support.waiting import UntilWaiting

WRITER = uuid7()


async def put(db: Database, session: ConversationSession, **what: Any) -> list[dict[str, Any]]:
    """Write, as a method of a repository does."""
    key = db.sessions._session_key(session.id, what.pop("user_id", session.user_id))
    with db._core.working():
        return [dict(row) for row in await write(db._core.db, key, **what)]


def exchange(turn_id: UUID, text: str = "Hi") -> list[TurnWrite]:
    """What opens, extends and closes one turn."""
    return [
        TurnWrite(turn_id=turn_id, opens=True, user_text=text),
        TurnWrite(turn_id=turn_id, twin_text="Ho", timings={"asr_ms": 1}),
        TurnWrite(turn_id=turn_id, twin_text="!", status="completed", extra={"a": 1}),
    ]


def everything(turn_id: UUID) -> dict[str, Any]:
    return {
        "turns": exchange(turn_id),
        "items": [
            ItemWrite(kind="tool_call", turn_id=turn_id, call_id="c", payload={"n": 1}),
            ItemWrite(kind="handoff", name="Bo"),
        ],
        "usage": [UsageWrite(kind="llm", turn_id=turn_id, figures={"input_tokens": 3})],
        "sources": [SourceWrite(turn_id=turn_id, quote="nine")],
    }


async def rows(raw: asyncpg.Connection) -> dict[str, int]:
    tables = ("conversation_turns", "turn_items", "usage_records", "turn_sources")
    return {table: await raw.fetchval(f"SELECT count(*) FROM {table}") for table in tables}


ONE_OF_EACH = {
    "conversation_turns": 1,
    "turn_items": 2,
    "usage_records": 1,
    "turn_sources": 1,
}


@pytest.mark.parametrize("owner_known", [True, False])
@pytest.mark.parametrize("fenced", [True, False])
async def test_everything_goes_in_one_statement(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    session: ConversationSession,
    owner_known: bool,
    fenced: bool,
) -> None:
    more: Any = {} if owner_known else {"user_id": None}
    more |= {"writer": WRITER, "sequence": 1} if fenced else {}
    async with statements(digitwin_db) as sent:
        [turn] = await put(digitwin_db, session, **everything(uuid7()), **more)
    assert len(sent) == 1
    assert (turn["user_text"], turn["twin_text"], turn["status"]) == ("Hi", "Ho!", "completed")
    assert (turn["position"], turn["asr_ms"], turn["extra"]) == (1, 1, '{"a": 1}')
    assert await rows(raw) == ONE_OF_EACH
    now = await digitwin_db.sessions.get(session.id)
    assert (now.turn_count, now.item_count, now.version) == (1, 2, 2)


@pytest.mark.parametrize("scope", ["for_user", "for_service"])
async def test_it_works_under_row_security(
    digitwin_db: Database, raw: asyncpg.Connection, session: ConversationSession, scope: str
) -> None:
    scoped: Any = (
        digitwin_db.for_user(session.user_id)
        if scope == "for_user"
        else digitwin_db.for_service(reason="a test")
    )
    key = scoped.sessions._session_key(session.id, None)
    for sequence in (1, 2):
        with digitwin_db._core.working():
            await write(
                scoped.sessions._core.db,
                key,
                **everything(uuid7()),
                writer=WRITER,
                sequence=sequence,
            )
    assert (await rows(raw))["turn_items"] == 4
    await assert_gapless(digitwin_db.sessions, session.id, 2)


async def test_a_write_that_is_sent_again_stores_nothing_and_returns_the_turns(
    digitwin_db: Database, raw: asyncpg.Connection, session: ConversationSession
) -> None:
    turn_id = uuid7()
    what = {**everything(turn_id), "writer": WRITER, "sequence": 1}
    await put(digitwin_db, session, **what)
    [again] = await put(digitwin_db, session, **what)
    assert (again["id"], again["twin_text"]) == (turn_id, "Ho!")
    assert await rows(raw) == ONE_OF_EACH
    await assert_gapless(digitwin_db.sessions, session.id, 1)
    assert (await digitwin_db.sessions.get(session.id)).version == 2


async def test_a_write_is_sent_again_while_the_first_one_is_on_its_way(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    session: ConversationSession,
    until_waiting: UntilWaiting,
) -> None:
    what = {**everything(uuid7()), "writer": WRITER, "sequence": 1}
    async with raw.transaction():
        await raw.execute("SELECT FROM conversation_sessions FOR NO KEY UPDATE")
        calls = [asyncio.ensure_future(put(digitwin_db, session, **what)) for _ in range(3)]
        await until_waiting(3)
    answers = await asyncio.gather(*calls)
    assert [[turn["twin_text"] for turn in turns] for turns in answers] == [["Ho!"]] * 3
    assert await rows(raw) == ONE_OF_EACH
    await assert_gapless(digitwin_db.sessions, session.id, 1)


async def test_writers_do_not_fence_each_other(
    digitwin_db: Database, session: ConversationSession
) -> None:
    for n in (1, 2):
        for _ in range(2):
            await put(digitwin_db, session, turns=exchange(uuid7()), writer=uuid7(), sequence=n)
    await assert_gapless(digitwin_db.sessions, session.id, 4)


async def test_numbers_may_be_skipped_but_not_go_back(
    digitwin_db: Database, session: ConversationSession
) -> None:
    for sequence, count in ((3, 1), (2, 1), (3, 1), (7, 2)):
        what = {"turns": exchange(uuid7()), "writer": WRITER, "sequence": sequence}
        await put(digitwin_db, session, **what)
        await assert_gapless(digitwin_db.sessions, session.id, count)


async def test_what_belongs_to_no_turn_needs_none(
    digitwin_db: Database, raw: asyncpg.Connection, session: ConversationSession
) -> None:
    usage = [UsageWrite(kind="embedding", request_id="r")]
    for _ in range(2):
        assert await put(digitwin_db, session, usage=usage) == []
        assert await put(digitwin_db, session, items=[ItemWrite(kind="custom", item_id="i")]) == []
    assert (await rows(raw))["usage_records"] == 1
    assert (await rows(raw))["turn_items"] == 1


async def test_what_belongs_to_a_turn_goes_with_it(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    session: ConversationSession,
    turn: ConversationTurn,
) -> None:
    lost = uuid7()
    found = await put(
        digitwin_db,
        session,
        turns=[TurnWrite(turn_id=lost, user_text="x"), TurnWrite(turn_id=turn.id, user_text="x")],
        items=[ItemWrite(kind="custom", turn_id=id) for id in (lost, turn.id, uuid7())],
        usage=[UsageWrite(kind="llm", turn_id=lost)],
    )
    assert [row["id"] for row in found] == [turn.id]
    assert await rows(raw) == {
        **ONE_OF_EACH,
        "turn_items": 1,
        "usage_records": 0,
        "turn_sources": 0,
    }


async def test_unless_it_is_strict_a_write_keeps_the_status_and_cuts_the_text(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession, turn: ConversationTurn
) -> None:
    await sessions.close_turn(turn.id, session_id=session.id, twin_text="x" * (MAX_TEXT - 1))
    late = TurnWrite(turn_id=turn.id, twin_text="yz", status="interrupted", heard_text="x")
    [now] = await put(digitwin_db, session, turns=[late])
    assert (now["status"], now["heard_text"]) == ("completed", "x")
    assert (len(now["twin_text"]), now["twin_text"][-1]) == (MAX_TEXT, "y")


async def test_a_session_that_is_missing_or_over_takes_nothing(
    digitwin_db: Database, raw: asyncpg.Connection, session: ConversationSession, bob: User
) -> None:
    for what in (everything(uuid7()), {"usage": [UsageWrite(kind="llm")]}):
        for fence in ({}, {"writer": WRITER, "sequence": 1}):
            with pytest.raises(NotFoundError):
                await put(digitwin_db, session, **what, **fence, user_id=bob.id)
    await digitwin_db.sessions.end(session.id)
    await age(raw, "conversation_sessions", "started_at", "ended_at")
    for what in (everything(uuid7()), {"usage": [UsageWrite(kind="llm")]}):
        for fence in ({}, {"writer": WRITER, "sequence": 1}):
            with pytest.raises(InvalidStateError):
                await put(digitwin_db, session, **what, **fence)
    assert sum((await rows(raw)).values()) == 0
    assert await raw.fetchval("SELECT count(*) FROM session_writers") == 0


async def test_a_participant_who_was_erased_says_nothing_more(
    digitwin_db: Database, raw: asyncpg.Connection, session: ConversationSession, turn: Any
) -> None:
    await raw.execute("UPDATE conversation_turns SET user_text = ''")  # as an erasure leaves it
    written = await put(
        digitwin_db,
        session,
        turns=[TurnWrite(turn_id=turn.id, user_text="x")],
        items=[ItemWrite(kind="custom", turn_id=turn.id)],
    )
    assert written == []
    assert (await stored(digitwin_db.sessions, turn)).user_text == ""
    assert (await rows(raw))["turn_items"] == 0
