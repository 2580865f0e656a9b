"""A realtime model that says what the test says, and transcribes when it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

from livekit import rtc
from livekit.agents import llm
from livekit.agents.types import NOT_GIVEN
from livekit.agents.utils import shortuuid

from tests.integration.integrations.livekit.fakes import RATE


class RealtimeModel(llm.RealtimeModel):
    """Detects turns itself, as the large ones do."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=llm.RealtimeCapabilities(
                message_truncation=False,
                turn_detection=True,
                user_transcription=True,
                auto_tool_reply_generation=False,
                audio_output=True,
                manual_function_calls=False,
            )
        )
        self.talk: RealtimeSession

    def session(self, *, turn_detection_disabled: bool = False) -> RealtimeSession:
        self.talk = RealtimeSession(self)
        return self.talk

    async def aclose(self) -> None: ...


class RealtimeSession(llm.RealtimeSession[Any]):
    """One conversation with it."""

    def __init__(self, model: RealtimeModel) -> None:
        super().__init__(model)
        self._context, self._tools = llm.ChatContext(), llm.ToolContext.empty()

    def answers(self, *pieces: str) -> None:
        """Answer by itself what it has heard."""
        message = llm.MessageGeneration(
            message_id=shortuuid("item_"),
            text_stream=_stream(pieces),
            audio_stream=_stream([rtc.AudioFrame.create(RATE, 1, RATE // 10)]),
            modalities=asyncio.ensure_future(_modalities()),
        )
        generation = llm.GenerationCreatedEvent(
            message_stream=_stream([message]), function_stream=_stream([]), user_initiated=False
        )
        self.emit("generation_created", generation)

    def transcribes(self, text: str, *, turn_started_at: float | None = None) -> None:
        """Tell what the participant has said."""
        self.emit(
            "input_audio_transcription_completed",
            llm.InputTranscriptionCompleted(
                item_id=shortuuid("item_"),
                transcript=text,
                is_final=True,
                turn_started_at=turn_started_at,
            ),
        )

    def cut_in(self) -> None:
        """The participant begins to speak."""
        self.emit("input_speech_started", llm.InputSpeechStartedEvent())
        self.emit(
            "input_speech_stopped", llm.InputSpeechStoppedEvent(user_transcription_enabled=True)
        )

    @property
    def chat_ctx(self) -> llm.ChatContext:
        return self._context

    @property
    def tools(self) -> llm.ToolContext:
        return self._tools

    async def update_instructions(self, instructions: str) -> None: ...

    async def update_chat_ctx(self, chat_ctx: llm.ChatContext, **_: Any) -> None:
        self._context = chat_ctx

    async def update_tools(self, tools: list[llm.Tool]) -> None: ...

    def update_options(self, *, tool_choice: Any = NOT_GIVEN) -> None: ...

    def push_audio(self, frame: rtc.AudioFrame) -> None: ...

    def push_video(self, frame: rtc.VideoFrame) -> None: ...

    def generate_reply(self, **_: Any) -> asyncio.Future[llm.GenerationCreatedEvent]:
        raise NotImplementedError

    def commit_audio(self) -> None: ...

    def clear_audio(self) -> None: ...

    def interrupt(self) -> None: ...

    def truncate(self, **_: Any) -> None: ...

    async def aclose(self) -> None: ...


async def _stream(pieces: Iterable[Any]) -> AsyncIterator[Any]:
    for piece in pieces:
        yield piece


async def _modalities() -> list[Any]:
    return ["text", "audio"]
