"""A session ends once, and accepts no turns afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import InvalidInputError, InvalidStateError, NotFoundError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, ConversationTurn, User
from digitwin.testing import DatabaseFactory
from tests.integration.conversations.conftest import assert_gapless, statements
from tests.support.waiting import UntilWaiting

ROUNDS = 15


@pytest.fixture
async def punctual(digitwin_url: str, digitwin_db_factory: DatabaseFactory) -> Database:
    """A handle for which no turn comes late."""
    return await digitwin_db_factory(digitwin_url, late_turns=0)


async def test_a_session_ends_with_its_reason_by_the_databases_clock(
    raw: asyncpg.Connection, sessions: Sessions, session: ConversationSession
) -> None:
    before = await raw.fetchval("SELECT clock_timestamp()")
    ended = await sessions.end(session.id, reason="hung up")
    after = await raw.fetchval("SELECT clock_timestamp()")
    assert (ended.status, ended.end_reason, ended.version) == ("ended", "hung up", 2)
    assert ended.ended_at is not None
    assert before < ended.ended_at < after


async def test_a_session_ends_completed_unless_something_else_is_said(
    sessions: Sessions, session: ConversationSession
) -> None:
    assert (await sessions.end(str(session.id))).end_reason == "completed"


async def test_an_end_is_one_round_trip(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession
) -> None:
    async with statements(digitwin_db) as sent:
        await sessions.end(session.id)
    assert len(sent) == 1


async def test_an_end_is_never_before_the_start(
    raw: asyncpg.Connection, sessions: Sessions, session: ConversationSession
) -> None:
    await raw.execute("UPDATE conversation_sessions SET started_at = now() + interval '1 hour'")
    ended = await sessions.end(session.id)
    assert ended.ended_at == ended.started_at


async def test_a_second_end_changes_nothing(
    sessions: Sessions, session: ConversationSession
) -> None:
    first = await sessions.end(session.id, reason="hung up")
    with pytest.raises(InvalidStateError) as error:
        await sessions.end(session.id, reason="bored")
    assert error.value.details["status"] == "ended"
    now = await sessions.get(session.id)
    assert (now.end_reason, now.ended_at, now.version) == ("hung up", first.ended_at, 2)


async def test_of_two_ends_at_once_one_is_refused(
    crowd: Sessions, session: ConversationSession
) -> None:
    calls = (crowd.end(session.id, reason=f"r{n}") for n in range(10))
    results = await asyncio.gather(*calls, return_exceptions=True)
    [ended] = [result for result in results if isinstance(result, ConversationSession)]
    assert sum(isinstance(result, InvalidStateError) for result in results) == 9
    assert (await crowd.get(session.id)).end_reason == ended.end_reason


async def test_an_ended_session_takes_no_turn(
    punctual: Database, session: ConversationSession
) -> None:
    sessions = punctual.sessions
    await sessions.end(session.id)
    for call in (
        sessions.add_turn(session.id, user_text="Hello?"),
        sessions.add_turn(session.id, user_text="Hello?", idempotency_key="new"),
        sessions.add_turns(session.id, [{"user_text": "Hello?"}]),
    ):
        with pytest.raises(InvalidStateError) as error:
            await call
        assert error.value.details["status"] == "ended"
    await assert_gapless(sessions, session.id, 0)


async def test_a_turn_of_an_ended_session_is_still_amended(
    sessions: Sessions, session: ConversationSession
) -> None:
    turn = await sessions.add_turn(session.id, user_text="Hello?")
    await sessions.end(session.id)
    amended = await sessions.amend_turn(turn.id, session_id=session.id, twin_text="Bye.")
    assert amended.twin_text == "Bye."


async def test_no_session_does_not_end(sessions: Sessions) -> None:
    with pytest.raises(NotFoundError):
        await sessions.end(uuid7())


async def test_a_session_of_a_deleted_owner_does_not_end(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession, ada: User
) -> None:
    await digitwin_db.users.delete(ada.id)
    with pytest.raises(NotFoundError):
        await sessions.end(session.id)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 65}, "reason"),
        ({"reason": "a\0"}, "reason"),
        ({"reason": None}, "reason"),
        ({"user_id": "ada"}, "user_id"),
    ],
)
async def test_an_end_that_does_not_fit_is_refused_by_name(
    sessions: Sessions, session: ConversationSession, given: Any, field: str
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.end(session.id, **given)
    assert error.value.details["field"] == field
    assert (await sessions.get(session.id)).status == "active"


async def test_a_turn_on_its_way_is_in_before_the_end(
    digitwin_db: Database,
    sessions: Sessions,
    session: ConversationSession,
    until_waiting: UntilWaiting,
) -> None:
    begun = asyncio.Event()

    async def end() -> ConversationSession:
        await begun.wait()
        return await sessions.end(session.id)

    async with asyncio.TaskGroup() as tasks:
        ending = tasks.create_task(end())
        async with digitwin_db.transaction():
            await sessions.add_turn(session.id, user_text="One more thing.")
            begun.set()
            await until_waiting()
    assert ending.result().turn_count == 1


async def test_a_turn_behind_the_end_is_refused(
    punctual: Database, session: ConversationSession, until_waiting: UntilWaiting
) -> None:
    sessions, begun = punctual.sessions, asyncio.Event()

    async def add() -> None:
        await begun.wait()
        with pytest.raises(InvalidStateError):
            await sessions.add_turn(session.id, user_text="One more thing.")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(add())
        async with punctual.transaction():
            await sessions.end(session.id)
            begun.set()
            await until_waiting()
    await assert_gapless(sessions, session.id, 0)


async def test_of_turns_racing_with_the_end_each_is_stored_or_refused(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, ada: User
) -> None:
    crowd = (await digitwin_db_factory(digitwin_url, pool_max=24, late_turns=0)).sessions
    for _ in range(ROUNDS):
        session = await crowd.start(ada.id)
        calls: list[Any] = [crowd.add_turn(session.id, user_text=f"{n}") for n in range(16)]
        calls.insert(8, crowd.end(session.id))
        results = await asyncio.gather(*calls, return_exceptions=True)
        stored = sum(isinstance(result, ConversationTurn) for result in results)
        refused = sum(isinstance(result, InvalidStateError) for result in results)
        assert stored + refused == 16
        await assert_gapless(crowd, session.id, stored)
