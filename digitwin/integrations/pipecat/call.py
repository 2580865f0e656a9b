"""Recording a call: an observer of its frames, and handlers for what frames may not tell."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final
from uuid import UUID

from pipecat.frames.frames import InterimTranscriptionFrame, TranscriptionFrame
from pipecat.observers.base_observer import BaseObserver, FrameProcessed, FramePushed
from pipecat.processors.aggregators.llm_response_universal import (
    AssistantTurnStoppedMessage,
    LLMContextAggregatorPair,
    UserTurnMessageAddedMessage,
    UserTurnStoppedMessage,
)
from pipecat.utils.asyncio.task_manager import BaseTaskManager

from digitwin.conversations.fields import MAX_TEXT
from digitwin.conversations.recorder.recorder import TurnRecorder
from digitwin.database import Database
from digitwin.handle.scopes import ServiceScope, UserScope
from digitwin.integrations.pipecat.frames import Frames
from digitwin.integrations.pipecat.latency import Latency
from digitwin.integrations.pipecat.turns import Turns
from digitwin.kernel.primitives.validation import Id

DRAIN_LIMIT: Final = 3.0
"""Seconds that a pipeline which ends waits for the database; what is left is written later."""
REMEMBERED: Final = 200
"""Messages told by one of frames and handlers, and not yet by the other."""

Key = tuple[str, str, str]


Handle = Database | UserScope | ServiceScope


async def attach(
    aggregators: LLMContextAggregatorPair,
    db: Handle,
    session_id: Id,
    *,
    participant_id: Id | None = None,
    language: str | None = None,
) -> CallRecording:
    """Record a whole call, until its pipeline ends; call it before the pipeline runs.

    Returns an observer, which the worker is given: ``PipelineWorker(…, observers=[recording])``.
    An error in the recording never reaches the call; it is logged once and counted in
    ``health()``. While the database is away, a call begins without it, after 2 seconds.

    The digitwin session is not ended: the service knows whether the call was its last one.

    Args:
        aggregators: the pair that keeps the call's context, both in the pipeline.
        db: the handle, or a scope of it, open until the pipeline has ended.
        session_id: digitwin's session, which exists.
        participant_id: who speaks with the twin, if not the session's participant.
        language: of the turns.

    Returns:
        The recording, which ends with the pipeline.

    Raises:
        NotFoundError: the session does not exist, or not for this owner.
        InvalidStateError: it has ended.
        ScopeRequiredError: the handle requires a scope.
        ClosedError: the handle is closed or closing.
        InvalidInputError: an argument is invalid; names it.
    """
    recorder = db.recorder(session_id, participant_id=participant_id, language=language)
    await recorder.__aenter__()
    return CallRecording(aggregators, recorder)


class CallRecording(BaseObserver):
    """A call that is being recorded; see :func:`attach`.

    Frames come in the order in which they were pushed, and tell everything. The aggregators'
    handlers run as tasks in no given order, and tell some of it again: what no frame has told
    when the call ends, since the pipeline drops frames that its observers have not seen then, is
    taken from them, in the order of the messages' own times.
    """

    def __init__(self, aggregators: LLMContextAggregatorPair, recorder: TurnRecorder) -> None:
        super().__init__(observe_every_push=True)
        self._recorder = recorder
        self._turns = Turns(recorder)
        self._latency = Latency(recorder, self._turns)
        self._frames = Frames(
            recorder, self._turns, self._latency, aggregators.assistant(), self._told_by_frame
        )
        self._by_frames: deque[Key] = deque(maxlen=REMEMBERED)
        self._by_handlers: deque[Key] = deque(maxlen=REMEMBERED)
        self._final = ""
        """What was transcribed and is not in the context."""
        self._interim = ""
        """What is being transcribed after it."""
        self._ending: asyncio.Task[None] | None = None
        aggregators.user().add_event_handler("on_user_turn_stopped", self._user_stopped)
        aggregators.user().add_event_handler("on_user_turn_message_added", self._user_added)
        aggregators.assistant().add_event_handler(
            "on_assistant_turn_stopped", self._assistant_stopped
        )

    @property
    def session_id(self) -> UUID:
        """The id of digitwin's session."""
        return self._recorder.session_id

    @property
    def recorder(self) -> TurnRecorder:
        """The recorder, for what only the service knows, such as sources and handoffs."""
        return self._recorder

    async def aclose(self) -> None:
        """End the recording, and wait until all is written, up to 3 seconds."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._leave(), name="digitwin call ends")
        await asyncio.shield(self._ending)

    async def setup(self, task_manager: BaseTaskManager) -> None:
        """Begin with the pipeline; called by the framework."""
        await super().setup(task_manager)
        with self._recorder.guarding("latency"):
            await self._latency.setup(task_manager)

    async def cleanup(self) -> None:
        """End with the pipeline; called by the framework."""
        with self._recorder.guarding("latency"):
            await self._latency.cleanup()  # type: ignore[no-untyped-call]
        await self.aclose()
        await super().cleanup()  # type: ignore[no-untyped-call]

    async def on_pipeline_started(self) -> None:
        """Take in that the pipeline runs; called by the framework."""
        with self._recorder.guarding("latency"):
            await self._latency.on_pipeline_started()  # type: ignore[no-untyped-call]

    async def on_push_frame(self, data: FramePushed) -> None:
        """Take in a frame; called by the framework, in the order of the frames."""
        if self._ending is not None:
            return
        with self._recorder.guarding(type(data.frame).__name__):
            self._listen(data)
            self._frames.take(data)
        if data.first_push:
            with self._recorder.guarding("latency"):
                await self._latency.on_push_frame(data)

    async def on_process_frame(self, data: FrameProcessed) -> None:
        """Take in what a processor does with a frame; called by the framework."""
        if self._ending is None:
            with self._recorder.guarding(type(data.frame).__name__):
                self._frames.take_heard(data)

    def _listen(self, data: FramePushed) -> None:
        """Keep words that the aggregator has not taken yet."""
        frame = data.frame
        if isinstance(frame, InterimTranscriptionFrame):
            self._interim = frame.text
        elif isinstance(frame, TranscriptionFrame) and data.first_push:
            self._interim = ""
            self._final = f"{self._final} {frame.text}".strip()[-MAX_TEXT:]
            if frame.text.strip():
                self._turns.words_come()

    def _told_by_frame(self, role: str, timestamp: str, text: str) -> None:
        if role == "user":
            self._final = ""
        key = role, timestamp, text
        if key in self._by_handlers:
            self._by_handlers.remove(key)
        else:
            self._by_frames.append(key)

    async def _user_stopped(self, _: Any, __: Any, message: UserTurnStoppedMessage) -> None:
        """Only the handler tells a turn without words; of a realtime model they come later."""
        if message.content == "":
            with self._recorder.guarding("on_user_turn_stopped"):
                self._turns.has_no_words()

    async def _user_added(self, _: Any, message: UserTurnMessageAddedMessage) -> None:
        self._told_by_handler("user", message.timestamp, message.content)

    async def _assistant_stopped(self, _: Any, message: AssistantTurnStoppedMessage) -> None:
        self._told_by_handler("assistant", message.timestamp, message.content)

    def _told_by_handler(self, role: str, timestamp: str, text: str | None) -> None:
        if not text or self._ending is not None:
            return
        key = role, timestamp, text
        if key in self._by_frames:
            self._by_frames.remove(key)
        else:
            self._by_handlers.append(key)

    async def _leave(self) -> None:
        for role, timestamp, text in sorted(self._by_handlers, key=lambda key: key[1]):
            with self._recorder.guarding("handlers"):
                if role == "user":
                    self._final = ""
                    self._turns.user_said(text, timestamp)
                else:
                    self._turns.committed(text)
        with self._recorder.guarding("words"):
            self._keep_uncommitted()
        self._turns.end()
        with self._recorder.guarding("drain"):
            try:
                async with asyncio.timeout(DRAIN_LIMIT):
                    await self._recorder.__aexit__(None, None, None)
            except TimeoutError:
                pass  # the recorder writes what is left while the handle is open

    def _keep_uncommitted(self) -> None:
        """Keep words of a participant who left before the framework took them."""
        words = f"{self._final} {self._interim}".strip()
        if words and self._turns.is_unheard:
            self._turns.user_said(words, None)
        elif self._interim.strip():
            self._turns.user_goes_on(self._interim.strip())
