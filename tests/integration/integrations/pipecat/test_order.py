"""Handlers run in any order, and tell what no frame has told; nothing is told twice."""

from __future__ import annotations

import itertools
import random
from types import SimpleNamespace
from typing import Any

import pytest
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
from digitwin.models import ConversationSession
from tests.integration.integrations.pipecat.stage import Stage
from tests.integration.integrations.story import Turn, told

MESSAGES = (
    UserTurnMessageAddedMessage("When do you open?", "2026-01-01T00:00:01Z"),
    AssistantTurnStoppedMessage("From nine.", interrupted=False, timestamp="2026-01-01T00:00:02Z"),
    UserTurnMessageAddedMessage("And on Sundays?", "2026-01-01T00:00:03Z"),
    AssistantTurnStoppedMessage("Closed.", interrupted=False, timestamp="2026-01-01T00:00:04Z"),
)


async def deliver(recording: CallRecording, messages: list[Any]) -> None:
    for message in messages:
        if isinstance(message, UserTurnMessageAddedMessage):
            await recording._user_added(None, message)
        else:
            await recording._assistant_stopped(None, message)


async def test_handlers_in_any_order_tell_the_order_of_their_own_times(
    digitwin_db: Database, session: ConversationSession
) -> None:
    orders = list(itertools.permutations(MESSAGES))
    for order in random.Random(7).sample(orders, 6):
        begun = await digitwin_db.sessions.start(session.user_id)
        recording = await attach(LLMContextAggregatorPair(LLMContext()), digitwin_db, begun.id)
        await deliver(recording, list(order))
        await recording.aclose()
        assert await told(digitwin_db, begun.id) == [
            Turn("When do you open?", "From nine."),
            Turn("And on Sundays?", "Closed."),
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
