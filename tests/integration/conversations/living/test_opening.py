"""A turn begins with its first word, once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from digitwin import Participant
from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import (
    AlreadyExistsError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
)
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, ConversationTurn, User
from tests.integration.conversations.conftest import WRITERS, assert_gapless, statements
from tests.integration.conversations.living.conftest import stored

NOON = datetime(2019, 5, 1, 12, tzinfo=UTC)


async def test_a_turn_opens_without_a_text_by_the_databases_clock(
    raw: asyncpg.Connection, sessions: Sessions, session: ConversationSession
) -> None:
    before = await raw.fetchval("SELECT clock_timestamp()")
    turn = await sessions.open_turn(session.id)
    assert (turn.position, turn.status, turn.user_text, turn.twin_text) == (1, "open", None, None)
    assert turn.ended_at is None
    assert before < turn.started_at == turn.created_at
    assert dict(await stored(sessions, turn)) == dict(turn)


async def test_every_field_comes_back_as_it_was_given(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession, ada: User
) -> None:
    sam = Participant(kind="guest", ref="web-1")
    guest = await sessions.start(ada.id, participant=sam)
    given: Any = {
        "user_text": 'When? "🕘" \\ \n',
        "twin_text": "From",
        "heard_text": "",
        "started_at": NOON,
        "participant_id": guest.participant_id,
        "language": "de-CH",
        "idempotency_key": "k",
    }
    turn = await sessions.open_turn(
        session.id, **given, timings={"end_of_turn_ms": 7}, usage={"input_tokens": 3}
    )
    assert {name: getattr(turn, name) for name in given} == given
    assert (turn.timings, turn.usage) == ({"end_of_turn_ms": 7}, {"input_tokens": 3})
    assert dict(await stored(sessions, turn)) == dict(turn)


@pytest.mark.parametrize("scope", ["for_user", "for_service", "transaction"])
async def test_it_works_in_every_scope(
    digitwin_db: Database, session: ConversationSession, ada: User, scope: str
) -> None:
    async def live(sessions: Sessions) -> ConversationTurn:
        turn = await sessions.open_turn(session.id, id=uuid7(), user_text="H")
        await sessions.extend_turn(turn.id, session_id=session.id, user_text="i")
        return await sessions.close_turn(turn.id, session_id=session.id, twin_text="Ho")

    if scope == "transaction":
        async with digitwin_db.transaction():
            turn = await live(digitwin_db.sessions)
    else:
        arguments: Any = {"for_user": (ada.id,), "for_service": ()}[scope]
        reason: Any = {"reason": "a test"} if scope == "for_service" else {}
        turn = await live(getattr(digitwin_db, scope)(*arguments, **reason).sessions)
    assert (turn.user_text, turn.twin_text, turn.status) == ("Hi", "Ho", "completed")


@pytest.mark.parametrize("way", ["open", "extend", "close"])
async def test_each_call_is_one_round_trip(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession, way: str
) -> None:
    turn = await sessions.open_turn(session.id)
    items: Any = [{"kind": "tool_call", "call_id": "c", "name": "look_up"}]
    calls: Any = {
        "open": lambda: sessions.open_turn(session.id, user_text="Hi"),
        "extend": lambda: sessions.extend_turn(
            turn.id, session_id=session.id, user_text="Hi", items=items
        ),
        "close": lambda: sessions.close_turn(turn.id, session_id=session.id, items=items),
    }
    async with statements(digitwin_db) as sent:
        await calls[way]()
    assert len(sent) == 1


@pytest.mark.parametrize("name", ["id", "idempotency_key"])
@pytest.mark.parametrize("within", [False, True])
async def test_a_repeated_call_returns_the_turn_as_it_is_by_then(
    digitwin_db: Database,
    sessions: Sessions,
    session: ConversationSession,
    name: str,
    within: bool,
) -> None:
    named: Any = {name: uuid7() if name == "id" else "k"}
    first = await sessions.open_turn(session.id, **named, user_text="Hi")
    await sessions.close_turn(first.id, session_id=session.id, twin_text="Ho")
    if within:
        async with digitwin_db.transaction():
            again = await sessions.open_turn(session.id, **named, user_text="Other")
            await sessions.open_turn(session.id)
    else:
        again = await sessions.open_turn(session.id, **named, user_text="Other")
    assert (again.id, again.user_text, again.status) == (first.id, "Hi", "completed")
    await assert_gapless(sessions, session.id, 1 + within)


@pytest.mark.parametrize("name", ["id", "idempotency_key"])
async def test_repeated_calls_at_once_open_one_turn(
    crowd: Sessions, session: ConversationSession, name: str
) -> None:
    named: Any = {name: uuid7() if name == "id" else "k"}
    turns = await asyncio.gather(*(crowd.open_turn(session.id, **named) for _ in range(20)))
    assert len({turn.id for turn in turns}) == 1
    await assert_gapless(crowd, session.id, 1)


async def test_turns_opened_at_once_have_positions_without_gaps(
    crowd: Sessions, session: ConversationSession
) -> None:
    ways: Any = (crowd.open_turn, lambda id: crowd.add_turn(id, user_text="x"))
    await asyncio.gather(*(ways[n % 2](session.id) for n in range(WRITERS)))
    await assert_gapless(crowd, session.id, WRITERS)


async def test_several_turns_may_be_open(sessions: Sessions, session: ConversationSession) -> None:
    turns = [await sessions.open_turn(session.id) for _ in range(3)]
    assert [turn.position for turn in turns] == [1, 2, 3]


async def test_an_id_of_another_sessions_turn_is_taken(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession, ada: User
) -> None:
    turn = await sessions.open_turn(session.id)
    other = await sessions.start(ada.id)
    async with digitwin_db.transaction():
        with pytest.raises(AlreadyExistsError) as error:
            async with digitwin_db.transaction():
                await sessions.open_turn(other.id, id=turn.id)
        assert error.value.details["field"] == "id"
        await assert_gapless(sessions, other.id, 0)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"user_text": 7}, "user_text"),
    ({"user_text": "a\0"}, "user_text"),
    ({"twin_text": "\ud83d"}, "twin_text"),
    ({"twin_text": "x" * 100_001}, "twin_text"),
    ({"heard_text": "Fr"}, "heard_text"),
    ({"started_at": "now"}, "started_at"),
    ({"participant_id": "sam"}, "participant_id"),
    ({"language": " "}, "language"),
    ({"timings": 7}, "timings"),
    ({"status": "open"}, "status"),
    ({"id": "nonsense"}, "id"),
]


@pytest.mark.parametrize(("given", "field"), BAD)
async def test_a_turn_that_does_not_fit_is_refused_by_name(
    sessions: Sessions, session: ConversationSession, given: Any, field: str
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.open_turn(session.id, **given)
    assert error.value.details["field"] == field
    await assert_gapless(sessions, session.id, 0)


async def test_a_participant_that_does_not_exist_is_named(
    sessions: Sessions, session: ConversationSession
) -> None:
    with pytest.raises(NotFoundError) as error:
        await sessions.open_turn(session.id, participant_id=uuid7())
    assert error.value.details["field"] == "participant_id"
    await assert_gapless(sessions, session.id, 0)


async def test_no_session_and_another_persons_take_no_turn(
    sessions: Sessions, session: ConversationSession, bob: User
) -> None:
    for call in (
        sessions.open_turn(uuid7()),
        sessions.open_turn(session.id, user_id=bob.id),
    ):
        with pytest.raises(NotFoundError) as error:
            await call
        assert error.value.details["field"] == "session_id"


async def test_an_imported_turn_keeps_its_times(
    sessions: Sessions, session: ConversationSession
) -> None:
    minute = timedelta(minutes=1)
    both = await sessions.add_turn(
        session.id, user_text="a", started_at=NOON, ended_at=NOON + minute, language="de"
    )
    end = await sessions.add_turn(session.id, user_text="b", ended_at=NOON)
    [batch] = await sessions.add_turns(session.id, [{"user_text": "c", "started_at": NOON}])
    assert (both.started_at, both.ended_at, both.language) == (NOON, NOON + minute, "de")
    assert (end.started_at, end.ended_at) == (NOON, NOON)
    assert (batch.started_at, batch.ended_at) == (NOON, batch.created_at)


async def test_the_model_itself_is_not_created(session: ConversationSession) -> None:
    with pytest.raises(InvalidStateError):
        await ConversationTurn.create(
            user_id=session.user_id, session_id=session.id, position=1, status="open"
        )
