"""A turn grows while it lives, from several tasks, and closes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from digitwin.conversations.fields import MAX_TEXT, STAGES
from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import InvalidInputError, InvalidStateError, NotFoundError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, ConversationTurn, TurnItem, TurnSource, User
from tests.integration.conversations.living.conftest import stored

CALL: Any = {"kind": "tool_call", "call_id": "c", "name": "look_up", "payload": {"day": "Mon"}}


async def test_texts_are_appended_and_what_was_heard_is_replaced(
    sessions: Sessions, turn: ConversationTurn, place: Any
) -> None:
    for part in ("When ", "", "are you open?"):
        await sessions.extend_turn(**place, user_text=part, twin_text="From ", heard_text="From")
    now = await sessions.extend_turn(**place, heard_text="From nine")
    assert (now.user_text, now.twin_text) == ("When are you open?", "From From From ")
    assert (now.heard_text, now.status, now.ended_at) == ("From nine", "open", None)
    assert now.version == 5
    assert dict(await stored(sessions, turn)) == dict(now)


async def test_figures_are_merged_key_by_key(sessions: Sessions, place: Any) -> None:
    await sessions.extend_turn(**place, timings={"asr_ms": 80, "llm_ms": 300})
    now = await sessions.extend_turn(
        **place, timings={"llm_ms": 310, "tool_ms": 5, "asr_ms": None}, usage={"output_tokens": 7}
    )
    assert now.timings == {"asr_ms": 80, "llm_ms": 310, "tool_ms": 5}
    assert now.usage == {"output_tokens": 7}


@pytest.mark.parametrize("stage", STAGES)
async def test_each_stage_lands_in_its_own_place(
    sessions: Sessions, place: Any, session: ConversationSession, stage: str
) -> None:
    timings: Any = {stage: 4321}
    assert (await sessions.extend_turn(**place, timings=timings)).timings == timings
    assert (await sessions.open_turn(session.id, timings=timings)).timings == timings
    added = await sessions.add_turn(session.id, user_text="x", timings=timings, language="de")
    assert added.timings == timings


async def test_an_odd_figure_costs_no_text(
    sessions: Sessions, place: Any, caplog: pytest.LogCaptureFixture
) -> None:
    odd: Any = {"asr_ms": 79.6, "llm_ms": -1, "tts_ms": float("nan"), "living_odd_ms": 3.5}
    more: Any = {"input_tokens": None, "living_odd_tokens": "many"}
    for _ in range(2):
        now = await sessions.extend_turn(**place, user_text="Hi", timings=odd, usage=more)
    assert (now.user_text, now.timings, now.usage) == ("HiHi", {"asr_ms": 80}, {})
    assert now.extra == {"living_odd_ms": 3.5, "living_odd_tokens": "many"}
    assert len(caplog.records) == 2
    added = await sessions.add_turn(place["session_id"], user_text="Hi", timings=odd)
    assert (added.timings, added.extra) == ({"asr_ms": 80}, {"living_odd_ms": 3.5})
    amended = await sessions.amend_turn(added.id, session_id=added.session_id, usage=more)
    assert amended.extra == {"living_odd_ms": 3.5, "living_odd_tokens": "many"}


async def test_extra_is_bounded(sessions: Sessions, place: Any) -> None:
    for n in range(4):
        long: Any = {f"n{n}x{m}": "x" * 900 for m in range(20)}
        now = await sessions.extend_turn(**place, user_text="x", timings=long)
    assert (now.user_text, len(now.extra or {})) == ("xxxx", 20)


async def test_extensions_at_once_all_count(
    crowd: Sessions, raw: asyncpg.Connection, turn: ConversationTurn, place: Any
) -> None:
    await asyncio.gather(
        *(
            crowd.extend_turn(
                **place, user_text=chr(97 + n), items=[{"kind": "custom", "payload": {"n": n}}]
            )
            for n in range(20)
        )
    )
    now = await stored(crowd, turn)
    assert sorted(now.user_text or "") == [chr(97 + n) for n in range(20)]
    numbers = await raw.fetch("SELECT number FROM turn_items ORDER BY number")
    assert [row["number"] for row in numbers] == list(range(1, 21))


async def test_items_and_sources_belong_to_the_turn(
    digitwin_db: Database, sessions: Sessions, turn: ConversationTurn, place: Any, ada: User
) -> None:
    document = await digitwin_db.documents.create(user_id=ada.id, title="T", content="C")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    await sessions.extend_turn(
        **place,
        items=[{**CALL, "started_at": start}, {"kind": "tool_result", "call_id": "c"}],
        sources=[{"document_id": document.id, "passage": "p. 3", "score": 0.5, "quote": "nine"}],
    )
    items = await TurnItem.filter(turn_id=turn.id).order_by("number")
    assert [(item.number, item.kind, item.call_id) for item in items] == [
        (1, "tool_call", "c"),
        (2, "tool_result", "c"),
    ]
    assert (items[0].payload, items[0].started_at) == ({"day": "Mon"}, start)
    source = await TurnSource.get(turn_id=turn.id)
    assert (source.document_id, source.quote, source.score) == (document.id, "nine", 0.5)


async def test_an_item_that_is_sent_again_is_stored_once(
    sessions: Sessions, turn: ConversationTurn, place: Any
) -> None:
    for _ in range(3):
        await sessions.extend_turn(**place, items=[{**CALL, "item_id": "item-1"}])
    assert await TurnItem.filter(turn_id=turn.id).count() == 1


@pytest.mark.parametrize("field", ["user_text", "twin_text"])
async def test_a_text_that_becomes_too_long_is_refused_with_all_that_came_along(
    sessions: Sessions, turn: ConversationTurn, place: Any, field: str
) -> None:
    full: Any = {field: "🕘" * MAX_TEXT}
    one: Any = {field: "x"}
    await sessions.extend_turn(**place, **full)
    with pytest.raises(InvalidInputError) as error:
        await sessions.extend_turn(**place, **one, items=[CALL], timings={"asr_ms": 1})
    assert error.value.details == {"field": field, "limit": MAX_TEXT}
    now = await stored(sessions, turn)
    assert (getattr(now, field), now.timings, now.version) == (full[field], {}, 2)
    assert await TurnItem.filter(turn_id=turn.id).count() == 0


async def test_what_was_heard_needs_what_was_said(
    digitwin_db: Database, sessions: Sessions, place: Any
) -> None:
    async with digitwin_db.transaction():
        with pytest.raises(InvalidInputError) as error:
            await sessions.extend_turn(**place, heard_text="Fr")
        assert error.value.details["field"] == "heard_text"
        now = await sessions.extend_turn(**place, heard_text="Fr", twin_text="From")
    assert now.heard_text == "Fr"


BAD: list[tuple[dict[str, Any], str]] = [
    ({"user_text": 7}, "user_text"),
    ({"twin_text": "x" * (MAX_TEXT + 1)}, "twin_text"),
    ({"heard_text": "\ud83d"}, "heard_text"),
    ({"items": 5}, "items"),
    ({"items": [{"kind": "thing"}]}, "items"),
    ({"items": [{"kind": "custom"}] * 1001}, "items"),
    ({"sources": [{"score": 1.0}]}, "sources"),
    ({"ended_at": datetime.now(UTC)}, "ended_at"),
    ({"turn_id": "nonsense"}, "turn_id"),
]


@pytest.mark.parametrize(("given", "field"), BAD)
async def test_an_extension_that_does_not_fit_is_refused_by_name(
    sessions: Sessions, turn: ConversationTurn, place: Any, given: Any, field: str
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.extend_turn(**{**place, **given})
    assert error.value.details["field"] == field
    assert (await stored(sessions, turn)).version == 1


async def test_only_a_turn_of_the_session_grows(
    sessions: Sessions, turn: ConversationTurn, place: Any, ada: User, bob: User
) -> None:
    other = await sessions.start(ada.id)
    for given, field in (
        ({"session_id": other.id}, "turn_id"),
        ({"turn_id": uuid7()}, "turn_id"),
        ({"session_id": uuid7()}, "session_id"),
        ({"user_id": bob.id}, "session_id"),
    ):
        for call in (sessions.extend_turn, sessions.close_turn):
            with pytest.raises(NotFoundError) as error:
                await call(**{**place, **given}, user_text="x", items=[CALL])
            assert error.value.details["field"] == field
    assert (await stored(sessions, turn)).version == 1
    assert await TurnItem.all().count() == 0


# Closing


@pytest.mark.parametrize("status", ["completed", "interrupted", "abandoned"])
async def test_a_turn_closes_by_the_databases_clock(
    raw: asyncpg.Connection, sessions: Sessions, turn: ConversationTurn, place: Any, status: Any
) -> None:
    before = await raw.fetchval("SELECT clock_timestamp()")
    now = await sessions.close_turn(**place, status=status, twin_text="From", heard_text="Fr")
    assert (now.status, now.twin_text, now.heard_text) == (status, "From", "Fr")
    assert now.ended_at is not None
    assert before < now.ended_at <= await raw.fetchval("SELECT clock_timestamp()")
    assert dict(await stored(sessions, turn)) == dict(now)


async def test_a_closed_turn_still_grows_and_stays_closed(sessions: Sessions, place: Any) -> None:
    closed = await sessions.close_turn(**place, status="interrupted")
    now = await sessions.extend_turn(**place, user_text="late", timings={"asr_ms": 3})
    assert (now.user_text, now.status, now.ended_at) == ("late", "interrupted", closed.ended_at)


async def test_closing_again_with_the_same_status_merges(sessions: Sessions, place: Any) -> None:
    closed = await sessions.close_turn(**place, user_text="a")
    again = await sessions.close_turn(**place, user_text="b", timings={"asr_ms": 3})
    assert (again.user_text, again.timings) == ("ab", {"asr_ms": 3})
    assert (again.status, again.ended_at) == ("completed", closed.ended_at)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("completed", "interrupted"),
        ("interrupted", "completed"),
        ("completed", "abandoned"),
        ("interrupted", "abandoned"),
    ],
)
async def test_closing_with_another_status_names_the_method_for_it(
    sessions: Sessions, turn: ConversationTurn, place: Any, first: Any, then: Any
) -> None:
    await sessions.close_turn(**place, status=first)
    with pytest.raises(InvalidStateError, match="amend_turn") as error:
        await sessions.close_turn(**place, status=then, user_text="x", items=[CALL])
    assert error.value.details["status"] == first
    assert (await stored(sessions, turn)).version == 2
    assert await TurnItem.all().count() == 0


@pytest.mark.parametrize("then", ["completed", "interrupted", "abandoned"])
async def test_an_abandoned_turn_that_lived_on_is_closed(
    sessions: Sessions, place: Any, then: Any
) -> None:
    first = await sessions.close_turn(**place, status="abandoned")
    now = await sessions.close_turn(**place, status=then)
    assert first.ended_at is not None
    assert now.ended_at is not None
    assert now.status == then
    assert (now.ended_at > first.ended_at) is (then != "abandoned")


async def test_of_closings_at_once_one_status_wins(crowd: Sessions, place: Any) -> None:
    statuses: list[Any] = ["completed", "interrupted"] * 8
    results = await asyncio.gather(
        *(crowd.close_turn(**place, status=status, user_text="x") for status in statuses),
        return_exceptions=True,
    )
    turns = [result for result in results if isinstance(result, ConversationTurn)]
    assert len({turn.status for turn in turns}) == 1
    assert sum(isinstance(result, InvalidStateError) for result in results) == 8
    assert max(len(turn.user_text or "") for turn in turns) == 8


async def test_a_turn_does_not_end_before_it_began(
    raw: asyncpg.Connection, sessions: Sessions, turn: ConversationTurn, place: Any
) -> None:
    await raw.execute("UPDATE conversation_turns SET started_at = now() + interval '1 hour'")
    now = await sessions.close_turn(**place)
    assert now.ended_at == now.started_at


async def test_a_given_end_is_kept(sessions: Sessions, session: ConversationSession) -> None:
    noon = datetime(2019, 5, 1, 12, tzinfo=UTC)
    turn = await sessions.open_turn(session.id, started_at=noon)
    end = noon + timedelta(seconds=3)
    now = await sessions.close_turn(turn.id, session_id=session.id, ended_at=end)
    assert (now.started_at, now.ended_at) == (noon, end)
    again = await sessions.close_turn(turn.id, session_id=session.id)
    assert again.ended_at == end


@pytest.mark.parametrize("status", ["open", "done", None, 7])
async def test_a_turn_closes_with_a_status_that_is_one(
    sessions: Sessions, place: Any, status: Any
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.close_turn(**place, status=status)
    assert error.value.details["field"] == "status"


async def test_an_open_turn_that_is_amended_to_be_over_has_an_end(
    sessions: Sessions, place: Any
) -> None:
    now = await sessions.amend_turn(**place, interrupted=True, user_text="x")
    assert now.status == "interrupted"
    assert now.ended_at is not None
