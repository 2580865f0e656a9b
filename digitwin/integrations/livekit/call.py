"""Recording a call: attaching to an agent session, and ending with it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any, Final
from uuid import UUID
from weakref import WeakSet

from livekit.agents import (
    AgentSession,
    CloseEvent,
    ConversationItemAddedEvent,
    get_job_context,
)
from livekit.agents.llm import AgentHandoff

from digitwin.conversations.recorder.recorder import TurnRecorder
from digitwin.errors import InvalidStateError
from digitwin.integrations.livekit.events import Events
from digitwin.integrations.livekit.recordings import Handle, Recording, RecordingStore
from digitwin.integrations.livekit.taps import Begin, Listen, Taps
from digitwin.kernel.primitives.validation import Id

CLOSING_LIMIT: Final = 4.0
"""Seconds that a job that shuts down waits for the end of the call."""
DRAIN_LIMIT: Final = 3.0
"""Seconds that it waits then for the database. The framework kills the job after 10 s in all."""

_RECORDED: WeakSet[AgentSession[Any]] = WeakSet()
"""Agent sessions that are being recorded: a second recording would tell everything twice."""

log = logging.getLogger(__name__)


async def attach(
    session: AgentSession[Any],
    db: Handle,
    session_id: Id,
    *,
    participant_id: Id | None = None,
    language: str | None = None,
    recordings: RecordingStore | None = None,
    states: bool = False,
) -> CallRecording:
    """Record a whole call, until the agent session closes; call it before ``session.start``.

    Texts, what was generated and what was heard, tools, usage, stages and handoffs are stored
    while the call goes on, at most ``recorder_lag`` behind. The agents need not know: their texts
    are listened to where they pass. An error in the recording never reaches the call; it is
    logged once and counted in ``health()``. While the database is away, a call begins without it,
    after 2 seconds.

    The digitwin session is not ended: the service knows whether the call was its last one.

    Args:
        session: LiveKit's session of the call.
        db: the handle, or a scope of it, open until the job has shut down.
        session_id: digitwin's session, which exists.
        participant_id: who speaks with the twin, if not the session's participant.
        language: of transcripts that tell none.
        recordings: keeps LiveKit's recording, which then is an artifact of the session, if the
            owner's consent ``recording`` is in force.
        states: record each change of state of the agent and the participant, some seven items a
            turn; otherwise only that the participant is away, and back.

    Returns:
        The recording, which ends by itself.

    Raises:
        NotFoundError: the session does not exist, or not for this owner.
        InvalidStateError: it has ended; or this agent session is recorded already.
        ScopeRequiredError: the handle requires a scope.
        ClosedError: the handle is closed or closing.
        InvalidInputError: an argument is invalid; names it.
    """
    recorder = db.recorder(session_id, participant_id=participant_id, language=language)
    if session in _RECORDED:
        raise InvalidStateError("This agent session is recorded already")
    _RECORDED.add(session)
    try:
        await recorder.__aenter__()
    except BaseException:
        _RECORDED.discard(session)
        raise
    call = CallRecording(session, db, recorder, recordings, states=states)
    call._begin()
    return call


class CallRecording:
    """A call that is being recorded; see :func:`attach`."""

    def __init__(
        self,
        session: AgentSession[Any],
        db: Handle,
        recorder: TurnRecorder,
        recordings: RecordingStore | None,
        *,
        states: bool = False,
    ) -> None:
        job = get_job_context(required=False)
        self._session = session
        self._db = db
        self._recorder = recorder
        self._events = Events(session, recorder, states=states)
        self._taps = Taps(
            transcribed=self._guarded(self._events.transcribing),
            generated=self._guarded(self._events.generating),
            shown=self._events.showing,
        )
        self._job = job
        self._recording = Recording(recordings, job) if recordings and job else None
        self._has_closed = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None

    @property
    def session_id(self) -> UUID:
        """The id of digitwin's session."""
        return self._recorder.session_id

    @property
    def recorder(self) -> TurnRecorder:
        """The recorder, for what only the service knows, such as sources."""
        return self._recorder

    async def aclose(self) -> None:
        """End the recording before the call ends, and wait until all is written.

        Waits up to ``drain_timeout``; what is left is written later.
        """
        await asyncio.shield(self._end())

    async def ended(self) -> bool:
        """Wait for the end of the call, and until it is written: for shutdown callbacks.

        Waits for 7 seconds at most, since the framework kills the job after 10. It is called by a
        callback that closes the handle then: callbacks run at the same time.

        Returns:
            Whether the call has ended and all of it is stored.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_LIMIT):
                await self._has_closed.wait()
        if self._ending is not None:
            await asyncio.wait([self._ending], timeout=DRAIN_LIMIT)
        else:
            with self._recorder.guarding("drain"):
                await self._recorder.drain(DRAIN_LIMIT)
        return self._ending is not None and self._ending.done() and not self._recorder.buffered

    def _begin(self) -> None:
        self._session.on("conversation_item_added", self._item_added)
        self._session.on("close", self._closed)
        self._events.listen()
        self._tap()
        if self._job is not None:
            self._job.add_shutdown_callback(self._shut_down)

    def _guarded(self, begin: Begin) -> Begin:
        def guarded() -> Listen:
            with self._recorder.guarding("tap"):
                return begin()
            return lambda _text: None

        return guarded

    def _item_added(self, event: ConversationItemAddedEvent) -> None:
        """Listen to an agent that takes over, the first one among them."""
        if isinstance(event.item, AgentHandoff):
            self._tap()

    def _tap(self) -> None:
        with self._recorder.guarding("tap"), suppress(RuntimeError):  # no agent yet
            self._taps.put_on(self._session.current_agent)

    def _closed(self, event: CloseEvent) -> None:
        self._end()

    def _end(self) -> asyncio.Task[None]:
        if self._ending is None:
            with self._recorder.guarding("close"):
                self._session.off("conversation_item_added", self._item_added)
                self._session.off("close", self._closed)
                self._taps.take_off()
                _RECORDED.discard(self._session)
            self._ending = asyncio.create_task(self._leave(), name="digitwin call ends")
            self._has_closed.set()
        return self._ending

    async def _leave(self) -> None:
        self._events.leave()
        with self._recorder.guarding("drain"):
            await self._recorder.__aexit__(None, None, None)
        if self._recording is not None:
            with self._recorder.guarding("recording"):
                await self._recording.add(self._db, self.session_id, self._session)

    async def _shut_down(self, reason: str) -> None:
        if not await self.ended():
            log.warning("livekit: the job shuts down before its call is written")
