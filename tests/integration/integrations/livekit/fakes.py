"""Models and audio for LiveKit's own session: scripted, silent, and as fast as the test."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from livekit import rtc
from livekit.agents import APIConnectionError, llm, stt, tts
from livekit.agents.language import LanguageCode
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN
from livekit.agents.utils import shortuuid
from livekit.agents.voice import io

RATE = 16_000
FINAL = stt.SpeechEventType.FINAL_TRANSCRIPT
INTERIM = stt.SpeechEventType.INTERIM_TRANSCRIPT
PREFLIGHT = stt.SpeechEventType.PREFLIGHT_TRANSCRIPT
"""So likely final that the model begins to answer."""

Piece = str | llm.FunctionToolCall | asyncio.Event | Exception
"""A piece of text, a call of a tool, what the model waits for, or how it fails."""


def calling(tool: str, **arguments: Any) -> llm.FunctionToolCall:
    """Return the model's call of a tool."""
    return llm.FunctionToolCall(
        name=tool, arguments=json.dumps(arguments), call_id=shortuuid("call_")
    )


class ScriptedLLM(llm.LLM[Any]):
    """Answers with the next of its replies."""

    def __init__(self, *replies: Iterable[Piece]) -> None:
        super().__init__()
        self.replies = deque(replies)

    @property
    def model(self) -> str:
        return "scripted"

    @property
    def provider(self) -> str:
        return "test"

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: Any = None,
        conn_options: Any = DEFAULT_API_CONNECT_OPTIONS,
        **_: Any,
    ) -> llm.LLMStream:
        return _Reply(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _Reply(llm.LLMStream):
    async def _run(self) -> None:
        assert isinstance(self._llm, ScriptedLLM)
        id = shortuuid("reply_")
        for piece in self._llm.replies.popleft():
            if isinstance(piece, asyncio.Event):
                await piece.wait()
                continue
            if isinstance(piece, Exception):
                raise piece
            text = piece if isinstance(piece, str) else None
            calls = [] if isinstance(piece, str) else [piece]
            delta = llm.ChoiceDelta(role="assistant", content=text, tool_calls=calls)
            self._event_ch.send_nowait(llm.ChatChunk(id=id, delta=delta))
        usage = llm.CompletionUsage(
            completion_tokens=5, prompt_tokens=20, prompt_cached_tokens=8, total_tokens=25
        )
        self._event_ch.send_nowait(llm.ChatChunk(id=id, usage=usage))


class SilentTTS(tts.TTS[Any]):
    """Speaks each text as a tenth of a second of silence."""

    fails_at: str | None = None
    """The text that it cannot speak."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False), sample_rate=RATE, num_channels=1
        )

    @property
    def model(self) -> str:
        return "silent"

    @property
    def provider(self) -> str:
        return "test"

    def synthesize(
        self, text: str, *, conn_options: Any = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return _Silence(tts=self, input_text=text, conn_options=conn_options)


class _Silence(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        assert isinstance(self._tts, SilentTTS)
        if self._tts.fails_at and self._tts.fails_at in self._input_text:
            raise APIConnectionError("silent", retryable=False)
        output_emitter.initialize(
            request_id=shortuuid("tts_"), sample_rate=RATE, num_channels=1, mime_type="audio/pcm"
        )
        output_emitter.push(bytes(2 * RATE // 10))
        output_emitter.flush()


class ScriptedSTT(stt.STT[Any]):
    """Hears what the test says."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))
        self.events: asyncio.Queue[stt.SpeechEvent] = asyncio.Queue()

    async def _recognize_impl(self, buffer: Any, **_: Any) -> stt.SpeechEvent:
        raise NotImplementedError

    def stream(
        self, *, language: Any = NOT_GIVEN, conn_options: Any = DEFAULT_API_CONNECT_OPTIONS
    ) -> stt.RecognizeStream:
        return _Hearing(stt=self, conn_options=conn_options)

    def begins(self) -> None:
        """The participant begins to speak."""
        self.events.put_nowait(stt.SpeechEvent(type=stt.SpeechEventType.START_OF_SPEECH))

    def hears(
        self,
        text: str,
        kind: stt.SpeechEventType = FINAL,
        *,
        language: str = "en",
        speaker: str | None = None,
    ) -> None:
        """The participant says something."""
        said = stt.SpeechData(language=LanguageCode(language), text=text, speaker_id=speaker)
        self.events.put_nowait(stt.SpeechEvent(type=kind, alternatives=[said]))

    def ends(self) -> None:
        """The participant is silent again."""
        self.events.put_nowait(stt.SpeechEvent(type=stt.SpeechEventType.END_OF_SPEECH))

    def says(self, text: str) -> None:
        """The participant says something, and then is silent."""
        self.begins()
        self.hears(text)
        self.ends()


class _Hearing(stt.RecognizeStream):
    async def _run(self) -> None:
        assert isinstance(self._stt, ScriptedSTT)
        telling = asyncio.create_task(self._tell(self._stt.events))
        try:
            async for _ in self._input_ch:
                pass
        finally:
            telling.cancel()

    async def _tell(self, events: asyncio.Queue[stt.SpeechEvent]) -> None:
        while True:
            self._event_ch.send_nowait(await events.get())


class Microphone(io.AudioInput):
    """Silence, until the session ends."""

    def __init__(self) -> None:
        super().__init__(label="microphone")

    async def __anext__(self) -> rtc.AudioFrame:
        await asyncio.sleep(0.02)
        return rtc.AudioFrame.create(RATE, 1, RATE // 50)


class Speaker(io.AudioOutput):
    """Plays nothing; what of it was heard is what the test says.

    Args:
        can_pause: whether a false interruption pauses it.
    """

    def __init__(self, *, can_pause: bool = True) -> None:
        super().__init__(label="speaker", capabilities=io.AudioOutputCapabilities(pause=can_pause))
        self.holds = False
        """Whether what is played goes on until ``finish``, or until it is interrupted."""
        self.is_silent = False
        """Whether nothing is heard of it."""
        self.heard: str | None = None
        """What was heard of what is interrupted."""
        self.heard_to_the_end: str | None = None
        """What was heard of what is played to its end, if not all."""
        self.started = asyncio.Event()
        self._length = 0.0
        self._is_playing = False

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._is_playing and not self.is_silent:
            self.on_playback_started(created_at=time.time())
        self._is_playing = True
        self._length += frame.duration
        self.started.set()

    def flush(self) -> None:
        super().flush()
        if not self.holds:
            self.finish()

    def finish(self) -> None:
        """Play to the end."""
        self.holds = False
        self._finished(self._length, self.heard_to_the_end, interrupted=False)

    def clear_buffer(self) -> None:
        position, heard = (0.0, "") if self.is_silent else (self._length / 2, self.heard)
        self.holds = self.is_silent = False
        self._finished(position, heard, interrupted=True)

    def _finished(self, position: float, heard: str | None, *, interrupted: bool) -> None:
        if self._is_playing:
            self._is_playing, self._length = False, 0.0
            self.started.clear()
            self.on_playback_finished(
                playback_position=position, interrupted=interrupted, synchronized_transcript=heard
            )
