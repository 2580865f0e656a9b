"""How sure it is what was heard, with the framework's own voices and its output transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pipecat.frames.frames import Frame, OutputAudioRawFrame, TTSAudioRawFrame, TTSSpeakFrame
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams

from digitwin.database import Database
from digitwin.models import ConversationSession
from tests.integration.integrations.pipecat.stage import Stage, until
from tests.integration.integrations.story import Turn, told

RATE = 16_000
NEVER = 10_000.0
"""Seconds after which a word would be heard."""


class Mouth(TTSService):
    """A voice that speaks silence, and may tell when each word is heard."""

    def __init__(self, word_times: list[tuple[str, float]]) -> None:
        super().__init__(
            push_text_frames=not word_times,
            push_start_frame=True,
            push_stop_frames=True,
            sample_rate=RATE,
            settings=TTSSettings(model="fake", voice=None, language=None),
        )
        self._word_times = word_times

    async def run_tts(self, text: str, context_id: str) -> AsyncIterator[Frame | None]:  # type: ignore[override]
        yield TTSAudioRawFrame(b"\0" * 2560, RATE, 1, context_id=context_id)
        if self._word_times:
            await self.add_word_timestamps(self._word_times, context_id)


class Output(BaseOutputTransport):
    """A transport whose listener hears what is written."""

    def __init__(self) -> None:
        super().__init__(TransportParams(audio_out_enabled=True, audio_out_sample_rate=RATE))
        self.plays = asyncio.Event()
        self.plays.set()

    async def start(self, frame: Any) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        await self.plays.wait()
        return True


class Spoken(Stage):
    """A call with a real voice and a real output."""

    def __init__(
        self, *answers: list[Any], word_times: list[tuple[str, float]], interrupts: bool = True
    ) -> None:
        super().__init__(*answers, interrupts=interrupts)
        self.mouth, self.output = Mouth(word_times), Output()

    def processors(self) -> list[FrameProcessor]:
        return [self.pair.user(), self.model, self.mouth, self.output, self.pair.assistant()]


@pytest.mark.parametrize(
    ("word_times", "heard", "basis"),
    [
        ([("My", 0.0), ("grandmother", 0.01), ("planted", NEVER)], "My grandmother", "words"),
        ([], "My grandmother planted it.", "segments"),
    ],
    ids=["words", "sentences"],
)
async def test_what_was_heard_is_as_sure_as_the_voice_tells(
    digitwin_db: Database,
    session: ConversationSession,
    word_times: list[tuple[str, float]],
    heard: str,
    basis: str,
) -> None:
    text = "My grandmother planted it. Then the war"
    stage = Spoken([text, asyncio.Event()], [], word_times=word_times)
    async with stage.call(digitwin_db, session.id):
        await stage.says("Tell me about the orchard")
        await until(lambda: stage.pair.assistant().aggregation_string().strip() == heard)
        await stage.says("Stop")
        await until(lambda: heard in str(stage.pair.assistant().context.messages))
    first, second = await told(digitwin_db, session.id)
    assert first == Turn("Tell me about the orchard", text, heard_text=heard, status="interrupted")
    assert second.user_text == "Stop"
    turn = (await digitwin_db.sessions.with_turns(session.id)).turns[0]
    assert turn.extra == {"heard_basis": basis}


async def test_a_line_that_is_still_spoken_when_a_question_is_asked_stays_in_its_turn(
    digitwin_db: Database, session: ConversationSession
) -> None:
    """It reaches the context after the question: it is not the answer."""
    goes_on = asyncio.Event()
    stage = Spoken([goes_on, "From nine. "], word_times=[], interrupts=False)
    stage.output.plays.clear()
    async with stage.call(digitwin_db, session.id):
        await stage.put(TTSSpeakFrame("Good morning."))
        await until(lambda: stage.recording is not None and bool(stage.recording.recorder.turn_id))
        await stage.says("When do you open?")
        stage.output.plays.set()
        await stage.is_quiet(2)
        goes_on.set()
        await stage.is_quiet(3)
    assert await told(digitwin_db, session.id) == [
        Turn(None, "Good morning."),
        Turn("When do you open?", "From nine. "),
    ]
