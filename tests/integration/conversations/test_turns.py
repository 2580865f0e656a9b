"""Valid turns are stored as given, invalid ones are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from digitwin.conversations.fields import MAX_TEXT, STAGES
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
from tests.integration.conversations.conftest import assert_gapless, statements

MOST = 2**31 - 1
NOON, DAY = datetime(2019, 5, 1, 12, tzinfo=UTC), timedelta(days=1)
TIMINGS: Any = {stage: 10 * n for n, stage in enumerate(STAGES)}


async def test_a_turn_has_the_documented_defaults(
    sessions: Sessions, session: ConversationSession
) -> None:
    turn = await sessions.add_turn(session.id, user_text="When are you open?")
    assert (turn.session_id, turn.user_id, turn.position) == (session.id, session.user_id, 1)
    assert (turn.user_text, turn.twin_text, turn.heard_text) == ("When are you open?", None, None)
    assert (turn.status, turn.timings, turn.usage) == ("completed", {}, {})
    assert (turn.idempotency_key, turn.version) == (None, 1)


async def test_every_field_comes_back_as_it_was_given(
    sessions: Sessions, session: ConversationSession
) -> None:
    given: Any = {
        "user_text": "Ouvert? 🕘",
        "twin_text": " From nine.\n\nTo five.",
        "heard_text": " From",
        "idempotency_key": "web-1/7",
    }
    usage: Any = {"input_tokens": MOST, "output_tokens": 0}
    await sessions.add_turn(session.id, **given, timings=TIMINGS, usage=usage, interrupted=True)
    [turn] = (await sessions.turns(session.id)).items
    assert {name: getattr(turn, name) for name in given} == given
    assert (turn.timings, turn.usage, turn.status) == (TIMINGS, usage, "interrupted")


async def test_what_was_not_measured_is_left_out_of_the_timings(
    sessions: Sessions, session: ConversationSession
) -> None:
    turn = await sessions.add_turn(
        session.id, user_text="Hm", timings={"asr_ms": 0, "llm_ms": None}, usage={}
    )
    assert (turn.timings, turn.usage) == ({"asr_ms": 0}, {})


async def test_a_greeting_has_no_user_text(
    sessions: Sessions, session: ConversationSession
) -> None:
    turn = await sessions.add_turn(session.id, twin_text="Good morning!")
    assert (turn.user_text, turn.twin_text) == (None, "Good morning!")


async def test_each_turn_moves_the_sessions_count_and_version(
    sessions: Sessions, session: ConversationSession
) -> None:
    for n in (1, 2, 3):
        turn = await sessions.add_turn(session.id, user_text=f"{n}")
        assert turn.position == n
    now = await sessions.get(session.id)
    assert (now.turn_count, now.version) == (3, 4)
    assert now.updated_at > session.updated_at


async def test_a_turn_takes_the_owner_where_it_is_known(
    sessions: Sessions, session: ConversationSession, ada: User, bob: User
) -> None:
    turn = await sessions.add_turn(str(session.id), user_id=str(ada.id), user_text="Hi")
    assert turn.position == 1
    with pytest.raises(NotFoundError):
        await sessions.add_turn(session.id, user_id=bob.id, user_text="Hi")


async def test_a_text_may_have_as_many_characters_as_are_allowed_however_wide(
    sessions: Sessions, session: ConversationSession
) -> None:
    long = "🕘" * MAX_TEXT
    turn = await sessions.add_turn(session.id, user_text=long, twin_text=long, heard_text=long)
    assert turn.heard_text == long


@pytest.mark.parametrize("way", ["add_turn", "add_turns", "amend_turn", "with_turns", "turns"])
async def test_turns_are_written_and_read_in_one_round_trip(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession, way: str
) -> None:
    turn = await sessions.add_turn(session.id, user_text="Hi")
    calls: Any = {
        "add_turn": lambda: sessions.add_turn(session.id, user_text="Hi"),
        "add_turns": lambda: sessions.add_turns(session.id, [{"user_text": "a"}] * 5),
        "amend_turn": lambda: sessions.amend_turn(
            turn.id, session_id=session.id, twin_text="Hello."
        ),
        "with_turns": lambda: sessions.with_turns(session.id),
        "turns": lambda: sessions.turns(session.id),
    }
    async with statements(digitwin_db) as sent:
        await calls[way]()
    assert len(sent) == 1


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({}, "user_text", ""),
    ({"user_text": None, "twin_text": None}, "user_text", ""),
    ({"user_text": ""}, "user_text", ""),
    ({"twin_text": ""}, "twin_text", ""),
    ({"user_text": 7}, "user_text", ""),
    ({"user_text": "a\0b"}, "user_text", "NUL"),
    ({"twin_text": "\ud83d"}, "twin_text", "surrogate"),
    ({"user_text": "x" * (MAX_TEXT + 1)}, "user_text", "100000"),
    ({"twin_text": "x" * (MAX_TEXT + 1)}, "twin_text", "100000"),
    ({"twin_text": "x", "heard_text": "x" * (MAX_TEXT + 1)}, "heard_text", "100000"),
    ({"user_text": "x", "heard_text": "Fr"}, "heard_text", "twin_text"),
    ({"twin_text": "x", "heard_text": "a\0"}, "heard_text", "NUL"),
    ({"user_text": "x", "timings": [1]}, "timings", "dict"),
    ({"user_text": "x", "usage": "12"}, "usage", "dict"),
    ({"user_text": "x", "started_at": datetime(2026, 1, 1)}, "started_at", "time zone"),  # noqa: DTZ001
    ({"user_text": "x", "ended_at": "2026-01-01T00:00:00Z"}, "ended_at", ""),
    ({"user_text": "x", "started_at": NOON, "ended_at": NOON - DAY}, "ended_at", "before"),
    ({"user_text": "x", "participant_id": "sam"}, "participant_id", ""),
    ({"user_text": "x", "language": ""}, "language", ""),
    ({"user_text": "x", "language": "x" * 36}, "language", "35"),
    ({"user_text": "x", "interrupted": "yes"}, "interrupted", ""),
    ({"user_text": "x", "interrupted": 1}, "interrupted", ""),
    ({"user_text": "x", "idempotency_key": ""}, "idempotency_key", ""),
    ({"user_text": "x", "idempotency_key": "x" * 201}, "idempotency_key", "200"),
    ({"user_text": "x", "idempotency_key": "a\nb"}, "idempotency_key", ""),
    ({"user_text": "x", "position": 3}, "position", ""),
]


@pytest.mark.parametrize(("turn", "field", "part"), BAD)
async def test_a_turn_that_does_not_fit_is_refused_by_name(
    sessions: Sessions, session: ConversationSession, turn: Any, field: str, part: str
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.add_turn(session.id, **turn)
    assert error.value.details["field"] == field
    assert part in error.value.message
    await assert_gapless(sessions, session.id, 0)


@pytest.mark.parametrize(("turn", "field", "part"), BAD)
async def test_one_bad_turn_of_many_is_named_and_refuses_them_all(
    sessions: Sessions, session: ConversationSession, turn: Any, field: str, part: str
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.add_turns(session.id, [{"user_text": "good"}, turn])
    assert error.value.details["field"] == "new_turns"
    assert "new_turns[1]" in error.value.message
    assert part in error.value.message
    await assert_gapless(sessions, session.id, 0)


@pytest.mark.parametrize("new_turns", [5, None, "ab", [5], {"user_text": "a"}])
async def test_several_turns_are_a_list_of_dicts(
    sessions: Sessions, session: ConversationSession, new_turns: Any
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.add_turns(session.id, new_turns)
    assert error.value.details["field"] == "new_turns"


@pytest.mark.parametrize("interrupted", [True, False])
async def test_nothing_may_have_been_heard(
    sessions: Sessions, session: ConversationSession, interrupted: bool
) -> None:
    turn = await sessions.add_turn(
        session.id, twin_text="From nine.", heard_text="", interrupted=interrupted
    )
    assert turn.heard_text == ""
    assert turn.status == ("interrupted" if interrupted else "completed")


async def test_several_turns_are_stored_side_by_side_in_their_order(
    sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.add_turn(session.id, twin_text="Good morning!")
    given: list[Any] = [
        {"user_text": f"u{n}", "timings": {"total_ms": n}, "interrupted": n % 2 == 1}
        for n in range(40)
    ]
    added = await sessions.add_turns(session.id, given)
    assert [turn.position for turn in added] == list(range(2, 42))
    stored = (await sessions.turns(session.id, limit=1000)).items[1:]
    assert [(t.user_text, t.timings, t.status) for t in stored] == [
        (turn["user_text"], turn["timings"], ("completed", "interrupted")[turn["interrupted"]])
        for turn in given
    ]
    assert (await sessions.get(session.id)).version == 3


async def test_no_turns_are_no_work(sessions: Sessions) -> None:
    assert await sessions.add_turns(uuid7(), []) == []


async def test_several_turns_may_come_from_a_generator(
    sessions: Sessions, session: ConversationSession
) -> None:
    several: Any = ({"user_text": text} for text in "abc")
    assert [turn.user_text for turn in await sessions.add_turns(session.id, several)] == list("abc")


async def test_as_many_turns_as_are_allowed_are_stored_and_no_more(
    sessions: Sessions, session: ConversationSession
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.add_turns(session.id, [{"user_text": "x"}] * 10_001)
    assert error.value.details == {"field": "new_turns", "limit": 10_000}
    await sessions.add_turns(session.id, [{"user_text": "x"}] * 10_000)
    await assert_gapless(sessions, session.id, 10_000)


async def test_a_taken_key_refuses_all_of_several_turns(
    sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.add_turn(session.id, user_text="first", idempotency_key="k")
    with pytest.raises(AlreadyExistsError) as error:
        await sessions.add_turns(
            session.id, [{"user_text": "a"}, {"user_text": "b", "idempotency_key": "k"}]
        )
    assert error.value.details["field"] == "idempotency_key"
    await assert_gapless(sessions, session.id, 1)


async def test_a_key_given_twice_among_several_turns_refuses_them_all(
    sessions: Sessions, session: ConversationSession
) -> None:
    with pytest.raises(AlreadyExistsError):
        await sessions.add_turns(session.id, [{"user_text": "a", "idempotency_key": "k"}] * 2)
    await assert_gapless(sessions, session.id, 0)


async def test_no_session_takes_no_turn(sessions: Sessions) -> None:
    for call in (
        sessions.add_turn(uuid7(), user_text="Hi"),
        sessions.add_turn(uuid7(), user_text="Hi", idempotency_key="k"),
        sessions.add_turns(uuid7(), [{"user_text": "Hi"}]),
        sessions.with_turns(uuid7()),
        sessions.turns(uuid7()),
    ):
        with pytest.raises(NotFoundError):
            await call


async def test_a_session_of_a_deleted_owner_takes_no_turn_and_shows_none(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession, ada: User
) -> None:
    turn = await sessions.add_turn(session.id, user_text="Hi", idempotency_key="k")
    await digitwin_db.users.delete(ada.id)
    for call in (
        sessions.add_turn(session.id, user_text="Hi"),
        sessions.add_turn(session.id, user_text="Hi", idempotency_key="k"),
        sessions.add_turns(session.id, [{"user_text": "Hi"}]),
        sessions.amend_turn(turn.id, session_id=session.id, user_text="Ho"),
        sessions.with_turns(session.id),
        sessions.turns(session.id),
    ):
        with pytest.raises(NotFoundError):
            await call


@pytest.mark.parametrize("method", ["add_turn", "add_turns", "with_turns", "turns", "end"])
@pytest.mark.parametrize("id", ["nonsense", 7, None])
async def test_a_sessions_id_is_a_uuid_or_its_string(
    sessions: Sessions, method: str, id: Any
) -> None:
    given: Any = {"add_turn": {"user_text": "x"}, "add_turns": {"new_turns": [{"user_text": "x"}]}}
    with pytest.raises(InvalidInputError) as error:
        await getattr(sessions, method)(id, **given.get(method, {}))
    assert error.value.details["field"] == "session_id"


async def test_the_model_itself_says_where_a_turn_is_added(session: ConversationSession) -> None:
    with pytest.raises(InvalidStateError, match=r"db\.sessions\.add_turn"):
        await ConversationTurn.create(
            user_id=session.user_id, session_id=session.id, position=1, user_text="Hi"
        )


async def test_the_model_itself_keeps_a_turn_in_its_place(
    sessions: Sessions, session: ConversationSession
) -> None:
    turn = await sessions.add_turn(session.id, user_text="Hi")
    turn.position = 7
    with pytest.raises(InvalidStateError, match=r"db\.sessions\.add_turn"):
        await turn.save()
