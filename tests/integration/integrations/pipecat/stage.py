"""A call on Pipecat's real pipeline, whose model and voice are fakes that a test directs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    Frame,
    FunctionCallFromLLM,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMMessagesAppendFrame,
    LLMTextFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    TranscriptionFrame,
    TTSSpeakFrame,
    TTSTextFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies
from pipecat.utils.text.base_text_aggregator import TextType
from pipecat.workers.runner import WorkerRunner

from digitwin.integrations.pipecat import CallRecording, attach
from digitwin.integrations.pipecat.call import Handle

PATIENCE: Final = 10.0


SETTINGS: Final = LLMSettings(
    model="fake",
    system_instruction=None,
    temperature=None,
    max_tokens=None,
    top_p=None,
    top_k=None,
    frequency_penalty=None,
    presence_penalty=None,
    seed=None,
    filter_incomplete_user_turns=None,
    user_turn_completion_config=None,
)


class Calling(dict[str, Any]):
    """An answer that is a tool call."""

    def __init__(self, name: str, call_id: str = "call-1", **arguments: Any) -> None:
        super().__init__(name=name, call_id=call_id, arguments=arguments)

    def by_model(self, context: LLMContext) -> FunctionCallFromLLM:
        """Return it as the model asks for it."""
        return FunctionCallFromLLM(self["name"], self["call_id"], self["arguments"], context)


class Model(LLMService):
    """Answers with what the test has written; an event in an answer is waited for."""

    def __init__(self, answers: list[list[Any]], **options: Any) -> None:
        super().__init__(settings=SETTINGS, **options)
        self.answers = answers
        self.has_generated = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextFrame):
            await self._answer(frame.context)
        else:
            await self.push_frame(frame, direction)

    async def _answer(self, context: LLMContext) -> None:
        self.has_generated.clear()
        await self.push_frame(LLMFullResponseStartFrame())
        for piece in self.answers.pop(0):
            if isinstance(piece, Calling):
                await self.run_function_calls([piece.by_model(context)])
            elif isinstance(piece, list):
                await self.run_function_calls([call.by_model(context) for call in piece])
            elif isinstance(piece, Frame):
                await self.push_frame(piece)
            elif isinstance(piece, str):
                await self.push_frame(LLMTextFrame(piece))
            else:
                self.has_generated.set()
                await piece.wait()
        self.has_generated.set()
        await self.push_frame(LLMFullResponseEndFrame())


class Voice(FrameProcessor):
    """Speaks each text at once, as long as the test wants it to be heard."""

    def __init__(self) -> None:
        super().__init__()
        self.is_muted: Callable[[str], bool] = lambda _text: False
        self.goes_on = False
        """Whether the voice is still heard after the end of the answer."""
        self.is_speaking = False
        self.spoken: list[str] = []
        """What it was given to say."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMTextFrame):
            await self._speak(frame.text, append=True)
        elif isinstance(frame, TTSSpeakFrame):
            await self._speak(frame.text, append=frame.append_to_context)
            await self._fall_silent()
        elif isinstance(frame, LLMFullResponseEndFrame):
            await self.push_frame(frame, direction)
            if not self.goes_on:
                await self._fall_silent()
        else:
            if isinstance(frame, InterruptionFrame):
                await self._fall_silent()
            await self.push_frame(frame, direction)

    async def _speak(self, text: str, *, append: bool) -> None:
        self.spoken.append(text)
        if not self.is_speaking:
            self.is_speaking = True
            await self.broadcast_frame(BotStartedSpeakingFrame)
        if not self.is_muted(text):
            spoken = TTSTextFrame(text, text_type=TextType.SENTENCE)
            spoken.append_to_context, spoken.includes_inter_frame_spaces = append, True
            await self.push_frame(spoken)

    async def _fall_silent(self) -> None:
        if self.is_speaking:
            self.is_speaking = False
            await self.broadcast_frame(BotStoppedSpeakingFrame)


class Stage:
    """Directs a call."""

    def __init__(
        self, *answers: list[Any], interrupts: bool = True, realtime: bool | None = None
    ) -> None:
        self.model, self.voice = Model(list(answers)), Voice()
        strategies = ExternalUserTurnStrategies(enable_interruptions=interrupts)
        self.pair = LLMContextAggregatorPair(
            LLMContext(),
            user_params=LLMUserAggregatorParams(
                user_turn_strategies=strategies, audio_idle_timeout=0
            ),
            realtime_service_mode=realtime,
        )
        self.observers: list[BaseObserver] = []
        """Those beside the recording."""
        self.recording: CallRecording | None = None
        self.worker: PipelineWorker | None = None

    @asynccontextmanager
    async def call(self, db: Handle, session_id: UUID | str) -> AsyncIterator[Stage]:
        """Run the pipeline while the block goes on."""
        self.recording = await attach(self.pair, db, session_id)
        pipeline = Pipeline(self.processors())
        self.worker = PipelineWorker(
            pipeline,
            observers=[self.recording, *self.observers],
            params=PipelineParams(enable_metrics=True, enable_usage_metrics=True),
            enable_rtvi=False,
            idle_timeout_secs=None,
        )
        started = asyncio.Event()
        self.worker.add_event_handler("on_pipeline_started", lambda *_: started.set())
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self.worker)
        running = asyncio.create_task(runner.run())
        try:
            await until(started.is_set)
            yield self
        finally:
            await self.worker.queue_frame(self.last_frame())
            ended, _ = await asyncio.wait({running}, timeout=PATIENCE)
            assert ended, "the pipeline goes on"
            running.result()

    def processors(self) -> list[FrameProcessor]:
        """Return what the pipeline is made of."""
        return [self.pair.user(), self.model, self.voice, self.pair.assistant()]

    def last_frame(self) -> Frame:
        """Return the frame that ends the call."""
        return EndFrame()

    async def tells(self, source: FrameProcessor, frame: Frame) -> None:
        """Let a processor beside the pipeline have pushed a frame, and wait until it is taken."""
        assert self.recording is not None
        target = self.pair.user()
        pushed = FramePushed(source, target, frame, FrameDirection.DOWNSTREAM, 0)
        for observer in (self.recording, *self.observers):
            await observer.on_push_frame(pushed)

    async def put(self, *frames: Frame) -> None:
        """Put frames into the pipeline."""
        assert self.worker is not None
        for frame in frames:
            await self.worker.queue_frame(frame)

    async def begins(self) -> None:
        """The participant begins to speak."""
        await self.put(ProposedUserStartedSpeakingFrame())

    async def says(self, text: str) -> None:
        """The participant says something, and the twin begins to answer."""
        self.model.has_generated.clear()
        await self.asks(text)
        await self.answered()

    async def asks(self, text: str) -> None:
        """The participant says something."""
        await self.begins()
        await self.put(TranscriptionFrame(text, "guest", "2026-01-01T00:00:00Z", finalized=True))
        await self.put(ProposedUserStoppedSpeakingFrame())

    async def runs_model(self, text: str) -> None:
        """Put what a client has sent into the context, and run the model."""
        self.model.has_generated.clear()
        await self.put(LLMMessagesAppendFrame([{"role": "user", "content": text}], run_llm=True))
        await self.answered()

    async def answered(self) -> None:
        """Wait until the model has generated what it is to generate for now."""
        async with asyncio.timeout(PATIENCE):
            await self.model.has_generated.wait()

    async def is_heard(self, text: str) -> None:
        """Wait until the aggregator was given what is heard."""
        await until(lambda: text in self.pair.assistant().aggregation_string())

    async def heard_interim(self, text: str) -> None:
        """Wait until the recording was told of words that are not final."""
        await until(lambda: self.recording is not None and self.recording._interim == text)

    async def is_quiet(self, messages: int) -> None:
        """Wait until the context holds so many messages."""
        await until(lambda: len(self.pair.assistant().context.messages) >= messages)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not is_so():  # noqa: ASYNC110 - any frame may do it
            await asyncio.sleep(0.005)
