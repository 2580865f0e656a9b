"""Handlers run in any order, and tell what no frame has told; nothing is told twice."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pipecat.metrics.metrics import LLMTokenUsage
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    AssistantTurnStoppedMessage,
    LLMContextAggregatorPair,
    UserTurnMessageAddedMessage,
)

from digitwin.database import Database
from digitwin.integrations.pipecat import CallRecording, attach
from digitwin.integrations.pipecat.figures import tokens
from digitwin.integrations.texts import storable
from digitwin.models import ConversationSession
from tests.integration.integrations.pipecat.stage import Stage
from tests.integration.integrations.story import Turn, told

TEXT = st.text("ab \0", min_size=1, max_size=3).filter(str.strip)
EXCHANGES = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4)


@st.composite
def shuffled(draw: st.DrawFn) -> tuple[list[tuple[str, str]], list[Any]]:
    """Return a conversation, and its messages in the order in which handlers get them."""
    exchanges = draw(EXCHANGES)
    messages: list[Any] = []
    for number, (asked, said) in enumerate(exchanges):
        begun = f"2026-01-01T00:00:{2 * number:02}Z"
        ended = f"2026-01-01T00:00:{2 * number + 1:02}Z"
        messages.append(UserTurnMessageAddedMessage(asked, begun))
        messages.append(AssistantTurnStoppedMessage(said, interrupted=False, timestamp=ended))
        if draw(st.booleans()):  # an answer of which nothing was said
            messages.append(AssistantTurnStoppedMessage("", interrupted=True, timestamp=ended))
    return exchanges, draw(st.permutations(messages))


async def deliver(recording: CallRecording, messages: list[Any]) -> None:
    for message in messages:
        if isinstance(message, UserTurnMessageAddedMessage):
            await recording._user_added(None, message)
        else:
            await recording._assistant_stopped(None, message)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(story=shuffled())
async def test_handlers_in_any_order_tell_the_order_of_their_own_times(
    digitwin_db: Database,
    session: ConversationSession,
    story: tuple[list[tuple[str, str]], list[Any]],
) -> None:
    exchanges, messages = story
    begun = await digitwin_db.sessions.start(session.user_id)
    recording = await attach(LLMContextAggregatorPair(LLMContext()), digitwin_db, begun.id)
    await deliver(recording, messages)
    await recording.aclose()
    assert await told(digitwin_db, begun.id) == [
        Turn(storable(asked), storable(said)) for asked, said in exchanges
    ]


async def test_a_call_whose_handlers_come_late_and_backwards_is_told_once(
    digitwin_db: Database, session: ConversationSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    late: list[Any] = []

    async def keep(self: CallRecording, _: Any, message: Any) -> None:
        late.append(message)

    with monkeypatch.context() as patch:
        patch.setattr(CallRecording, "_user_added", keep)
        patch.setattr(CallRecording, "_assistant_stopped", keep)
        stage = Stage(["From nine."], ["Closed."])
        async with stage.call(digitwin_db, session.id):
            await stage.says("When do you open?")
            await stage.is_quiet(2)
            await stage.says("And on Sundays?")
            await stage.is_quiet(4)
            patch.undo()
            assert stage.recording is not None
            await deliver(stage.recording, late[::-1])
    assert len(late) >= 3
    assert await told(digitwin_db, session.id) == [
        Turn("When do you open?", "From nine."),
        Turn("And on Sundays?", "Closed."),
    ]


@pytest.mark.parametrize(
    ("prompt", "total"), [(100, 130), (60, 130)], ids=["cached inside", "cached beside"]
)
def test_tokens_are_in_buckets_however_a_provider_counts_cached_ones(
    prompt: int, total: int
) -> None:
    used = LLMTokenUsage(
        prompt_tokens=prompt,
        completion_tokens=30,
        total_tokens=total,
        cache_read_input_tokens=30,
        cache_creation_input_tokens=10,
        reasoning_tokens=5,
    )
    assert {name: count for name, count in tokens(used).items() if count} == {
        "input_tokens": 60,
        "cached_input_tokens": 30,
        "cache_write_tokens": 10,
        "output_tokens": 25,
        "reasoning_tokens": 5,
    }


async def test_an_error_in_the_recording_never_reaches_the_call(
    digitwin_db: Database, session: ConversationSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(["From nine."])
    async with stage.call(digitwin_db, session.id):
        assert stage.recording is not None
        monkeypatch.setattr(stage.recording, "_frames", SimpleNamespace())
        await stage.says("When do you open?")
        await stage.is_quiet(2)
        assert "nine" in str(stage.pair.assistant().context.messages)
    recorders = (await digitwin_db.health()).recorders
    assert recorders is not None
    assert recorders.failed_callbacks > 0
    assert await told(digitwin_db, session.id) == [Turn("When do you open?", "From nine.")]
