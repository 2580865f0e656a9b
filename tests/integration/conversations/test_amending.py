"""Turns are completed and corrected, stage by stage."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from digitwin.conversations.fields import MAX_TEXT, STAGES
from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import InvalidInputError, NotFoundError, StaleVersionError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, ConversationTurn, User


@pytest.fixture
async def turn(sessions: Sessions, session: ConversationSession) -> ConversationTurn:
    return await sessions.add_turn(
        session.id,
        user_text="When?",
        twin_text="From nine to five.",
        timings={"asr_ms": 80, "llm_ms": 300},
        usage={"input_tokens": 12},
        idempotency_key="k",
    )


async def stored(sessions: Sessions, turn: ConversationTurn) -> ConversationTurn:
    [found] = [
        t for t in (await sessions.turns(turn.session_id, limit=1000)).items if t.id == turn.id
    ]
    return found


async def test_what_is_left_out_stays(sessions: Sessions, turn: ConversationTurn) -> None:
    amended = await sessions.amend_turn(
        turn.id, session_id=turn.session_id, heard_text="From", interrupted=True
    )
    assert (amended.user_text, amended.twin_text) == (turn.user_text, turn.twin_text)
    assert (amended.heard_text, amended.status) == ("From", "interrupted")
    assert (amended.timings, amended.usage) == (turn.timings, turn.usage)
    assert (amended.position, amended.idempotency_key, amended.version) == (1, "k", 2)
    assert amended.updated_at > turn.updated_at
    assert dict(await stored(sessions, turn)) == dict(amended)


async def test_timings_and_usage_are_merged_stage_by_stage(
    sessions: Sessions, turn: ConversationTurn
) -> None:
    amended = await sessions.amend_turn(
        str(turn.id),
        session_id=str(turn.session_id),
        timings={"llm_ms": 310, "tts_ms": 0, "asr_ms": None},
        usage={"output_tokens": 7},
    )
    assert amended.timings == {"asr_ms": 80, "llm_ms": 310, "tts_ms": 0}
    assert amended.usage == {"input_tokens": 12, "output_tokens": 7}


@pytest.mark.parametrize("stage", STAGES)
async def test_each_stage_lands_in_its_own_place(
    sessions: Sessions, turn: ConversationTurn, stage: str
) -> None:
    changed: Any = {stage: 4321}
    amended = await sessions.amend_turn(turn.id, session_id=turn.session_id, timings=changed)
    assert amended.timings == {**turn.timings, stage: 4321}


async def test_an_interruption_can_be_taken_back(
    sessions: Sessions, turn: ConversationTurn
) -> None:
    place: Any = {"session_id": turn.session_id}
    await sessions.amend_turn(turn.id, **place, interrupted=True, heard_text="From")
    amended = await sessions.amend_turn(turn.id, **place, interrupted=False)
    assert (amended.status, amended.heard_text) == ("completed", None)
    assert amended.twin_text == "From nine to five."


async def test_what_was_heard_of_a_completed_turn_may_be_given(
    sessions: Sessions, turn: ConversationTurn
) -> None:
    amended = await sessions.amend_turn(
        turn.id, session_id=turn.session_id, interrupted=False, heard_text="From nine"
    )
    assert (amended.status, amended.heard_text) == ("completed", "From nine")


async def test_what_was_heard_may_come_with_what_was_said(
    sessions: Sessions, session: ConversationSession
) -> None:
    turn = await sessions.add_turn(session.id, user_text="When?")
    with pytest.raises(InvalidInputError) as error:
        await sessions.amend_turn(turn.id, session_id=session.id, heard_text="From")
    assert error.value.details["field"] == "heard_text"
    assert (await stored(sessions, turn)).version == 1
    amended = await sessions.amend_turn(
        turn.id, session_id=session.id, twin_text="From nine.", heard_text="From"
    )
    assert amended.heard_text == "From"


async def test_a_stale_version_changes_nothing(sessions: Sessions, turn: ConversationTurn) -> None:
    place: Any = {"session_id": turn.session_id}
    await sessions.amend_turn(turn.id, **place, expected_version=1, user_text="First")
    with pytest.raises(StaleVersionError) as error:
        await sessions.amend_turn(turn.id, **place, expected_version=1, user_text="Second")
    assert error.value.details["version"] == 2
    assert (await stored(sessions, turn)).user_text == "First"


async def test_amendments_at_once_all_count(crowd: Sessions, turn: ConversationTurn) -> None:
    stages: list[Any] = [{stage: n} for n, stage in enumerate(STAGES)]
    await asyncio.gather(
        *(crowd.amend_turn(turn.id, session_id=turn.session_id, timings=one) for one in stages)
    )
    now = await stored(crowd, turn)
    assert now.timings == {stage: n for n, stage in enumerate(STAGES)}
    assert now.version == 1 + len(STAGES)


async def test_of_amendments_at_once_that_expect_a_version_one_is_made(
    crowd: Sessions, turn: ConversationTurn
) -> None:
    calls = (
        crowd.amend_turn(turn.id, session_id=turn.session_id, expected_version=1, user_text=f"{n}")
        for n in range(10)
    )
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(result, StaleVersionError) for result in results) == 9


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({}, "changes"),
        ({"user_text": None, "timings": {}, "usage": {"input_tokens": None}}, "changes"),
        ({"user_text": ""}, "user_text"),
        ({"user_text": "x" * (MAX_TEXT + 1)}, "user_text"),
        ({"twin_text": "a\0"}, "twin_text"),
        ({"heard_text": "\udc00"}, "heard_text"),
        ({"timings": [80]}, "timings"),
        ({"started_at": "today"}, "started_at"),
        ({"interrupted": "no"}, "interrupted"),
        ({"idempotency_key": "k2"}, "idempotency_key"),
        ({"status": "open"}, "status"),
        ({"user_text": "x", "expected_version": 0}, "expected_version"),
        ({"user_text": "x", "expected_version": 2**31}, "expected_version"),
        ({"user_text": "x", "user_id": "ada"}, "user_id"),
    ],
)
async def test_an_amendment_that_does_not_fit_is_refused_by_name(
    sessions: Sessions, turn: ConversationTurn, changes: Any, field: str
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.amend_turn(turn.id, session_id=turn.session_id, **changes)
    assert error.value.details["field"] == field
    assert (await stored(sessions, turn)).version == 1


@pytest.mark.parametrize("name", ["turn_id", "session_id"])
async def test_an_id_is_a_uuid_or_its_string(
    sessions: Sessions, turn: ConversationTurn, name: str
) -> None:
    ids: Any = {"turn_id": turn.id, "session_id": turn.session_id, name: "nonsense"}
    with pytest.raises(InvalidInputError) as error:
        await sessions.amend_turn(**ids, user_text="x")
    assert error.value.details["field"] == name


async def test_only_a_turn_of_the_session_is_amended(
    sessions: Sessions, turn: ConversationTurn, ada: User, bob: User
) -> None:
    other = await sessions.start(ada.id)
    for call in (
        sessions.amend_turn(turn.id, session_id=other.id, user_text="x"),
        sessions.amend_turn(uuid7(), session_id=turn.session_id, user_text="x"),
        sessions.amend_turn(turn.id, session_id=turn.session_id, user_id=bob.id, user_text="x"),
    ):
        with pytest.raises(NotFoundError) as error:
            await call
        assert error.value.details["field"] == "turn_id"
    assert (await stored(sessions, turn)).version == 1


async def test_the_model_itself_keeps_the_version_of_a_turn(
    digitwin_db: Database, sessions: Sessions, turn: ConversationTurn
) -> None:
    await sessions.amend_turn(turn.id, session_id=turn.session_id, user_text="First")
    turn.user_text = "Second"
    with pytest.raises(StaleVersionError):
        await turn.save()
