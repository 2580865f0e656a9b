"""What the framework measures is stored with the turn that it is about."""

from __future__ import annotations

import asyncpg
from pipecat.frames.frames import Frame, LLMContextFrame, MetricsFrame, VADUserStoppedSpeakingFrame
from pipecat.metrics.metrics import LLMTokenUsage, LLMUsageMetricsData, TTFBMetricsData
from pipecat.processors.frame_processor import FrameDirection

from digitwin.database import Database
from digitwin.models import ConversationSession
from tests.integration.conversations.recorder.stored import stored_in
from tests.integration.integrations.pipecat.stage import Model, Stage

USED = LLMTokenUsage(prompt_tokens=10, completion_tokens=5, total_tokens=15)


class Measured(Model):
    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, LLMContextFrame):
            first = TTFBMetricsData(processor=self.name, model="fake", value=0.21)
            used = LLMUsageMetricsData(processor=self.name, model="fake", value=USED)
            await self.push_frame(MetricsFrame(data=[first, used]))
        await super().process_frame(frame, direction)


async def test_stages_and_usage_are_of_the_turn(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    stage = Stage()
    stage.model = Measured([["From nine."]])
    async with stage.call(digitwin_db, session.id):
        await stage.put(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        await stage.says("When do you open?")
        await stage.is_quiet(2)
    turn = (await digitwin_db.sessions.with_turns(session.id)).turns[0]
    assert turn.timings["llm_first_token_ms"] == 210
    assert turn.timings["first_audio_ms"] >= 200
    usage = (await stored_in(raw, session.id)).usage
    fields = ("kind", "model", "turn_id", "input_tokens", "output_tokens")
    assert [tuple(row[name] for name in fields) for row in usage] == [
        ("llm", "fake", turn.id, 10, 5)
    ]
