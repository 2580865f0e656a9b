"""A recorder: one ordered writer for a session, fed from callbacks that do not wait."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from copy import copy
from datetime import datetime
from types import TracebackType
from typing import Any, ClassVar, Final, Self
from uuid import UUID

from digitwin.conversations.living.writes import TurnWrite
from digitwin.conversations.living.writing import write
from digitwin.conversations.models import ConversationSession
from digitwin.conversations.queries import ACCEPTING, KNOWN_OWNER, OWNER
from digitwin.conversations.recorder import inputs
from digitwin.conversations.recorder.calls import RecorderCalls
from digitwin.conversations.recorder.flushing import Recorders
from digitwin.conversations.recorder.folding import Writes
from digitwin.conversations.recorder.lanes import Route
from digitwin.conversations.recorder.outbox import Outbox
from digitwin.conversations.recorder.script import Event, Script
from digitwin.errors import (
    BufferFullError,
    ConnectionFailedError,
    DigiTwinError,
    InvalidStateError,
    NotFoundError,
)
from digitwin.kernel.connection.transactions import outside
from digitwin.kernel.execution import audit_records
from digitwin.kernel.execution.core import Core
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.validation import Id, seconds, validate
from digitwin.kernel.sql.queries import Queries

LOOK_TIMEOUT: Final = 2.0
"""Seconds that a recorder waits for the database when it begins; it can begin without."""

log = logging.getLogger(__name__)

_QUERIES = Queries(__package__, accepting=ACCEPTING)


class TurnRecorder(RecorderCalls):
    """Records a live conversation: ``async with db.recorder(session_id) as recorder:``.

    Its calls await nothing. What they accept is written in order, in batches, by one statement
    each, and at most ``recorder_lag`` after the call while the database answers. While it does
    not, events are kept, up to ``recorder_buffer_bytes``, and written later with their own times.
    Nothing is stored twice: a batch whose outcome is unknown is recognised when it is sent again.

    Leaving the block ends the open turn (completed if the twin has answered and no error left
    the block, else abandoned) and waits until all is written, up to ``drain_timeout``. What is
    not written by then is still written, as long as the handle is open.
    """

    model: ClassVar[type[ConversationSession]] = ConversationSession

    def __init__(
        self,
        core: Core,
        session_id: Id,
        *,
        user_id: UUID | None,
        scope: UUID | None,
        participant_id: Id | None = None,
        language: str | None = None,
    ) -> None:
        self._core = core
        self._scope = scope
        self._key: dict[str, Any] = {
            "user_id": user_id,
            "session_id": parse_id(session_id, "session_id"),
            "late_turns": core.settings.late_turns,
        }
        self._script = Script(
            None if participant_id is None else parse_id(participant_id, "participant_id"),
            None if language is None else validate(inputs.LANGUAGE, language, "language"),
        )
        self._recorders = core.shared(Recorders)
        self._outbox = Outbox(
            self._send, limit=core.settings.recorder_buffer_bytes, clock=core.loop.time
        )
        self._route = Route(self._outbox, self._end)
        self._drops = core.settings.recorder_when_full == "drop"
        self._thread: int | None = None
        self._has_ended = False

    @property
    def session_id(self) -> UUID:
        """The session's id."""
        session_id: UUID = self._key["session_id"]
        return session_id

    @property
    def turn_id(self) -> UUID | None:
        """The id of the open turn, also before it is written; None if none is open."""
        return self._script.open_id

    @property
    def buffered(self) -> int:
        """Events that are accepted and not stored."""
        return len(self._outbox)

    @property
    def dropped(self) -> int:
        """Events that will never be stored: refused by the database, of a session that is gone,
        or not accepted while the buffer was full."""
        return self._outbox.dropped

    async def room(self) -> None:
        """Wait until the buffer is not full; returns at once if it is not."""
        await self._outbox.room()

    def guarding(self, name: str) -> AbstractContextManager[None]:
        """Keep an error of a callback that feeds this recorder from the pipeline that calls it.

        The first of each name is logged, by its kind alone; all are counted in ``health()``.

        Args:
            name: what is called back, such as the event's name.
        """
        return self._recorders.guarding(name)

    async def drain(self, timeout: float | None = None) -> bool:
        """Write now what was accepted so far, and wait for it; for shutdown hooks.

        Does not raise if the time is over: what is left is written later.

        Args:
            timeout: seconds, 0 to 86,400; ``drain_timeout`` unless given.

        Returns:
            Whether all that was ever accepted is stored.

        Raises:
            NotFoundError: the session was deleted; what it did not take is dropped.
            InvalidStateError: the same, since it has ended longer ago than ``late_turns``.
            InvalidInputError: ``timeout`` is out of range.
        """
        if timeout is None:
            timeout = self._core.settings.drain_timeout
        limit = seconds(timeout, "timeout", at_least=0, at_most=86_400)
        if not self._recorders.is_closed:
            self._recorders.hurry(self._route)
            try:
                async with asyncio.timeout(limit):
                    await self._outbox.settled()
            except TimeoutError:
                return False
        if self._outbox.refusal is not None:
            raise copy(self._outbox.refusal).with_traceback(None)
        return not (self._outbox.lost or len(self._outbox))

    async def __aenter__(self) -> Self:
        """Begin: look whether the session takes turns, if the database answers.

        Raises:
            NotFoundError: the session does not exist, or not for this owner.
            InvalidStateError: it has ended, longer ago than ``late_turns``; or the recorder was
                used before.
            ScopeRequiredError: the handle requires a scope.
            ClosedError: the handle is closed or closing.
        """
        if self._thread is not None:
            raise InvalidStateError("A recorder can be used once: make another one")
        with self._core.working(), outside():
            try:
                async with asyncio.timeout(LOOK_TIMEOUT):
                    await self._look()
            except (ConnectionFailedError, TimeoutError) as error:
                kind = error.code if isinstance(error, DigiTwinError) else "timeout"
                log.warning("recorder: begins without the database, which is away: %s", kind)
            except DigiTwinError as error:
                await audit_records.refused(self._core, self, "record", error)
                raise
        self._thread = threading.get_ident()
        self._recorders.add(self._route)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(failed=kind is not None and issubclass(kind, Exception))
        try:
            stored = await self.drain()
        except DigiTwinError:
            if error is None:
                raise
            return  # it was logged; the error of the block is the one to raise
        if not stored and len(self._outbox):
            log.warning("recorder: %d events are still to be written", len(self._outbox))

    async def _look(self) -> None:
        owner = OWNER if self._key["user_id"] is None else KNOWN_OWNER
        asked = time.monotonic()
        found = await self._core.db.fetchrow(_QUERIES.variant("session", owner=owner), **self._key)
        session_id = str(self.session_id)
        if found is None:
            raise NotFoundError("session not found", field="session_id", id=session_id)
        if not found["accepting"]:
            raise InvalidStateError("The session has ended", id=session_id, status=found["status"])
        self._key["user_id"] = found["user_id"]
        self._recorders.clock.told(found["now"], asked)

    async def _send(self, writes: Writes, writer: UUID, sequence: int) -> Collection[UUID]:
        asked = time.monotonic()
        records = await write(
            self._core.db,
            self._key,
            turns=writes.turns,
            items=writes.items,
            usage=writes.usage,
            sources=writes.sources,
            writer=writer,
            sequence=sequence,
            brief=True,
        )
        if records:
            self._recorders.clock.told(max(r["updated_at"] for r in records), asked)
        full = {record["id"] for record in records if record["is_full"]}
        if full:
            self._count_cut(turn for turn in writes.turns if turn.turn_id in full)
        return {record["id"] for record in records}

    def _count_cut(self, full: Iterable[TurnWrite]) -> None:
        """Count texts that did not fit: of turns to which others write, too."""
        cut = [
            turn.turn_id
            for turn in full
            if (turn.user_text or turn.twin_text) and self._script.may_be_cut(turn.turn_id)
        ]
        if cut:
            log.error("recorder: a turn's text is full, what did not fit is dropped")
            self._outbox.lose(len(cut))

    def _take(self, change: Callable[[], list[Event]], size: int, *, vital: bool = False) -> None:
        self._require_usable()
        if not self._outbox.has_room(vital=vital):
            if not self._drops:
                raise BufferFullError(
                    "The recorder's buffer is full: wait for `room()`",
                    limit=self._core.settings.recorder_buffer_bytes,
                )
            if not self._outbox.dropped:
                log.warning("recorder: the buffer is full, events are dropped")
            self._outbox.dropped += 1
            return
        events = change()
        if events:
            self._outbox.accept(events, size)
            self._recorders.accepted(self._route)

    def _time(self, at: datetime | None) -> datetime:
        return self._recorders.clock.now() if at is None else inputs.moment(at)

    def _require_usable(self) -> None:
        if threading.get_ident() != self._thread:
            if self._thread is None:
                raise InvalidStateError("Enter the recorder first: async with db.recorder(…)")
            raise InvalidStateError(
                "Called from another thread: use loop.call_soon_threadsafe(recorder.…)"
            )
        self._recorders.require_open()
        if self._has_ended:
            raise InvalidStateError("The recorder's block was left")

    def _end(self, *, failed: bool = False) -> None:
        """End the open turn and accept nothing more."""
        if self._has_ended:
            return
        self._has_ended = True
        events = self._script.finish(self._recorders.clock.now(), failed=failed)
        if events and not self._recorders.is_closed:
            self._outbox.accept(events, 0)
            self._recorders.accepted(self._route)
        self._recorders.remove(self._route)
