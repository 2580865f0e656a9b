"""What comes late is stored within the grace; an end can be given and taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import InvalidInputError, InvalidStateError, NotFoundError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, ConversationTurn, User
from digitwin.testing import DatabaseFactory
from tests.integration.conversations.conftest import assert_gapless
from tests.integration.conversations.living.conftest import age, stored

WAYS: dict[str, Callable[[Sessions, ConversationTurn], Awaitable[Any]]] = {
    "add": lambda s, t: s.add_turn(t.session_id, user_text="late"),
    "add once": lambda s, t: s.add_turn(t.session_id, user_text="late", idempotency_key="k"),
    "add several": lambda s, t: s.add_turns(t.session_id, [{"user_text": "late"}]),
    "open": lambda s, t: s.open_turn(t.session_id),
    "open once": lambda s, t: s.open_turn(t.session_id, id=uuid7()),
    "extend": lambda s, t: s.extend_turn(t.id, session_id=t.session_id, user_text="late"),
    "items": lambda s, t: s.extend_turn(t.id, session_id=t.session_id, items=[{"kind": "custom"}]),
    "close": lambda s, t: s.close_turn(t.id, session_id=t.session_id, user_text="late"),
}
NAIVE = datetime(2019, 1, 1)  # noqa: DTZ001 - refused
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@ways
async def test_within_the_grace_it_is_stored(
    sessions: Sessions, turn: ConversationTurn, way: Any
) -> None:
    await sessions.end(turn.session_id)
    await way(sessions, turn)
    assert (await sessions.get(turn.session_id)).status == "ended"


@ways
async def test_after_the_grace_it_is_refused(
    raw: asyncpg.Connection, sessions: Sessions, turn: ConversationTurn, way: Any
) -> None:
    await sessions.end(turn.session_id)
    await age(raw, "conversation_sessions", "started_at", "ended_at", by="61 seconds")
    with pytest.raises(InvalidStateError) as error:
        await way(sessions, turn)
    assert error.value.details["status"] == "ended"
    assert (await stored(sessions, turn)).version == 1
    await assert_gapless(sessions, turn.session_id, 1)


@ways
async def test_an_end_that_a_clock_ahead_stored_gives_no_longer_grace(
    raw: asyncpg.Connection, sessions: Sessions, turn: ConversationTurn, way: Any
) -> None:
    await sessions.end(turn.session_id)
    await age(raw, "conversation_sessions", "ended_at", by="-1 hour")
    with pytest.raises(InvalidStateError):
        await way(sessions, turn)


@ways
async def test_the_grace_is_a_setting(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, turn: ConversationTurn, way: Any
) -> None:
    none = (await digitwin_db_factory(digitwin_url, late_turns=0)).sessions
    long = (await digitwin_db_factory(digitwin_url, late_turns=timedelta(hours=2))).sessions
    await none.end(turn.session_id, ended_at=turn.started_at)
    with pytest.raises(InvalidStateError):
        await way(none, turn)
    await way(long, turn)


@pytest.mark.parametrize("name", ["id", "idempotency_key"])
async def test_a_repeated_call_finds_its_turn_long_after_the_end(
    raw: asyncpg.Connection, sessions: Sessions, session: ConversationSession, name: str
) -> None:
    named: Any = {name: uuid7() if name == "id" else "k"}
    first = await sessions.open_turn(session.id, **named)
    await sessions.end(session.id)
    await age(raw, "conversation_sessions", "started_at", "ended_at")
    assert (await sessions.open_turn(session.id, **named)).id == first.id


async def test_a_late_turn_takes_the_next_position(
    sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.add_turn(session.id, user_text="1")
    await sessions.end(session.id)
    await sessions.add_turn(session.id, user_text="2")
    await sessions.open_turn(session.id)
    await assert_gapless(sessions, session.id, 3)


# A given end


async def test_a_session_ends_when_it_is_said_to_have_ended(
    sessions: Sessions, session: ConversationSession
) -> None:
    moment = session.started_at + timedelta(milliseconds=1)
    ended = await sessions.end(session.id, ended_at=moment, reason="hung up")
    assert (ended.ended_at, ended.end_reason) == (moment, "hung up")
    assert (await sessions.statistics()).duration_seconds == pytest.approx(0.001)


@pytest.mark.parametrize("moment", ["now", 7, NAIVE, NAIVE.replace(tzinfo=UTC)])
async def test_an_end_that_does_not_fit_is_refused(
    sessions: Sessions, session: ConversationSession, moment: Any
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.end(session.id, ended_at=moment)
    assert error.value.details["field"] == "ended_at"
    assert (await sessions.get(session.id)).status == "active"


# Opening again


async def test_a_session_opens_again(sessions: Sessions, session: ConversationSession) -> None:
    await sessions.end(session.id, reason="hung up")
    again = await sessions.reopen(session.id)
    assert (again.status, again.end_reason, again.ended_at) == ("active", None, None)
    assert (again.started_at, again.version) == (session.started_at, 3)
    await sessions.add_turn(session.id, user_text="still here")
    assert (await sessions.end(session.id)).status == "ended"


async def test_opening_again_is_recorded(
    raw: asyncpg.Connection, sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.end(session.id)
    await sessions.reopen(session.id)
    actions = await raw.fetch(
        "SELECT action FROM audit_logs WHERE resource = 'session' ORDER BY id"
    )
    assert [row["action"] for row in actions][1:] == ["session.end", "session.reopen"]


async def test_an_active_session_does_not_open_again(
    sessions: Sessions, session: ConversationSession
) -> None:
    with pytest.raises(InvalidStateError) as error:
        await sessions.reopen(session.id)
    assert error.value.details["status"] == "active"
    assert (await sessions.get(session.id)).version == 1


async def test_of_reopenings_at_once_one_counts(
    crowd: Sessions, session: ConversationSession
) -> None:
    await crowd.end(session.id)
    results = await asyncio.gather(
        *(crowd.reopen(session.id) for _ in range(10)), return_exceptions=True
    )
    assert sum(isinstance(result, InvalidStateError) for result in results) == 9


async def test_what_is_hidden_or_another_persons_does_not_open_again(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession, ada: User, bob: User
) -> None:
    await sessions.end(session.id)
    with pytest.raises(NotFoundError):
        await digitwin_db.for_user(bob.id).sessions.reopen(session.id)
    with pytest.raises(NotFoundError):
        await sessions.reopen(uuid7())
    await digitwin_db.users.delete(ada.id)
    with pytest.raises(NotFoundError):
        await sessions.reopen(session.id)
