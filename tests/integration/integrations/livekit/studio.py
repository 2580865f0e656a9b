"""A call with LiveKit's own session, whose models and audio are scripted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from livekit.agents import Agent, AgentSession, TurnHandlingOptions

from digitwin.integrations.livekit import CallRecording, attach
from digitwin.integrations.livekit.recordings import Handle
from tests.integration.integrations.livekit.fakes import (
    Microphone,
    Piece,
    ScriptedLLM,
    ScriptedSTT,
    SilentTTS,
    Speaker,
)

PATIENCE = 10
"""Seconds that something may take on a busy machine."""


async def until(holds: Callable[[], object]) -> None:
    """Wait for what an event of the framework brings about."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - any of its events may do it
            await asyncio.sleep(0.002)


class Studio:
    """A call: what the participant says, and what the twin does."""

    def __init__(
        self,
        *replies: Iterable[Piece],
        can_pause: bool = False,
        has_audio: bool = True,
        is_eager: bool = False,
    ) -> None:
        self.model = ScriptedLLM(*replies)
        self.ears = ScriptedSTT()
        self.speaker = Speaker(can_pause=can_pause)
        self.voice = SilentTTS()
        self.agent: AgentSession[Any] = AgentSession(
            llm=self.model,
            tts=self.voice,
            stt=self.ears,
            vad=None,
            aec_warmup_duration=None,
            session_close_transcript_timeout=0.05,
            turn_handling=TurnHandlingOptions(
                turn_detection="stt",
                endpointing={"min_delay": 0.2 if is_eager else 0, "max_delay": 0.2},
                interruption={"false_interruption_timeout": 0.05},
                preemptive_generation={"enabled": is_eager},
            ),
        )
        if has_audio:
            self.agent.input.audio = Microphone()
            self.agent.output.audio = self.speaker
        self.recording: CallRecording | None = None

    @asynccontextmanager
    async def call(
        self, db: Handle, session_id: Any, agent: Agent | None = None, **options: Any
    ) -> AsyncIterator[Studio]:
        """Begin a recorded call, and hang up at the end."""
        self.recording = await attach(self.agent, db, session_id, **options)
        await self.agent.start(agent or Agent(instructions="Be brief."))
        try:
            yield self
        finally:
            await self.agent.aclose()
            await self.recording.aclose()

    @property
    def messages(self) -> list[str | None]:
        """What is in the framework's own history."""
        return [message.text_content for message in self.agent.history.messages()]

    async def says(self, text: str) -> None:
        """The participant says something, and is answered to the end."""
        before = len(self.messages)
        self.ears.says(text)
        await until(lambda: len(self.messages) > before + 1)
        await self.is_quiet()

    async def is_quiet(self) -> None:
        """Wait until the twin says nothing more."""
        await until(
            lambda: self.agent.current_speech is None and self.agent.agent_state == "listening"
        )

    async def begins_to_answer(self, text: str) -> None:
        """The participant says something, and the twin's answer is being played."""
        self.speaker.holds = True
        self.ears.says(text)
        async with asyncio.timeout(PATIENCE):
            await self.speaker.started.wait()

    async def is_generated(self, end: str) -> None:
        """Wait until the text of the speech has passed to its end."""
        assert self.recording is not None
        speeches = self.recording._events._speeches
        turn = speeches.open
        assert turn is not None
        await until(lambda: any("".join(s.generated).endswith(end) for s in turn.live))
