"""The events of one recorder on their way to the database: in order, each stored once.

Events are sent in batches, one at a time, each with the next number of this writer. A batch whose
outcome is unknown is sent again with the same number: the database has noted it if the batch was
stored. If the database refuses a batch for good, it is cut in two until the refused event is
alone. That one is reduced, or dropped, and all others are stored.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from typing import Final, NamedTuple
from uuid import UUID

from digitwin.conversations.living.writes import SourceWrite, TurnWrite
from digitwin.conversations.recorder.folding import Writes, folded
from digitwin.conversations.recorder.script import Event, Said
from digitwin.errors import (
    AlreadyExistsError,
    DigiTwinError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    StatementFailedError,
)
from digitwin.kernel.primitives.ids import uuid7

MAX_EVENTS: Final = 200
"""Events of one statement. More wait only after an outage; a write takes 256 turns at most."""

log = logging.getLogger(__name__)

_DATA_FAULTS = ("22", "23", "P0")
"""Classes of SQLSTATE that are about values: exceptions of data, constraints, triggers."""

Send = Callable[[Writes, UUID, int], Awaitable[Collection[UUID]]]
"""Stores writes, once for this writer and number; returns the turns that were written to."""


class Kept(NamedTuple):
    """An event, its size in bytes, and when it was accepted."""

    event: Event
    size: int
    since: float


class Outbox:
    """What one recorder has accepted and the database has not confirmed.

    Args:
        send: stores a batch.
        limit: bytes that are kept at most; the last event may exceed it.
        clock: seconds, of the event loop.
    """

    def __init__(self, send: Send, *, limit: int, clock: Callable[[], float]) -> None:
        self._send = send
        self._clock = clock
        self._limit = limit
        self._writer = uuid7()
        self._sequence = 0
        self._opening: dict[UUID, TurnWrite] = {}
        """Turns that are not stored yet."""
        self._waiting: list[Kept] = []
        self._batches: deque[list[Kept]] = deque()
        self._accepted = self._settled = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._rooms: list[asyncio.Future[None]] = []
        self.size = 0
        """Bytes of what is kept."""
        self.dropped = 0
        """Events that are not stored and never will be."""
        self.lost = 0
        """Those of them that had been accepted."""
        self.refusal: DigiTwinError | None = None
        """Why the session takes nothing any more."""

    def __len__(self) -> int:
        return self._accepted - self._settled

    @property
    def oldest(self) -> float | None:
        """When the oldest event was accepted that is not stored."""
        for kept in self._batches or (self._waiting,):
            if kept:
                return kept[0].since
        return None

    @property
    def is_full(self) -> bool:
        """Whether there is no room for now."""
        return self.size >= self._limit and self.refusal is None

    def has_room(self, *, vital: bool) -> bool:
        """Return whether an event is accepted; how turns end may take as much room once more."""
        return not self.is_full or (vital and self.size < 2 * self._limit)

    def accept(self, events: Sequence[Event], size: int) -> None:
        """Take events on: they will be stored, or dropped and counted."""
        if self.refusal is not None:
            self.dropped += len(events)
            return
        now = self._clock()
        for event in events:
            if self._waiting and _joins(event, self._waiting[-1].event):
                last = self._waiting[-1]
                self._waiting[-1] = Kept(last.event, last.size + size, last.since)
            else:
                self._waiting.append(Kept(event, size, now))
                self._accepted += 1
            if type(event) is TurnWrite and event.opens:
                self._opening[event.turn_id] = event
            self.size += size

    async def flush(self) -> None:
        """Send all that was accepted before this call.

        Raises:
            DigiTwinError: a batch could not be stored now. It is kept, and so is what follows.
        """
        self._gather()
        while self._batches:
            batch = self._batches[0]
            try:
                await self._store(batch)
            except DigiTwinError as error:
                if _is_gone(error):
                    self._give_up(error)
                elif _is_refused(error):
                    self._refused(batch, error)
                else:
                    raise

    async def _store(self, batch: list[Kept]) -> None:
        writes = folded((kept.event for kept in batch), self._opening)
        written = await self._send(writes, self._writer, self._sequence + 1)
        self._sequence += 1
        self._batches.popleft()
        for turn in writes.turns:
            self._opening.pop(turn.turn_id, None)
        unwritten = sum(
            kept.event.turn_id is not None and kept.event.turn_id not in written for kept in batch
        )
        self.lose(unwritten)  # of a turn that is missing, or whose participant was erased
        self._settle(batch)

    def _gather(self) -> None:
        for start in range(0, len(self._waiting), MAX_EVENTS):
            self._batches.append(self._waiting[start : start + MAX_EVENTS])
        self._waiting = []

    def _refused(self, batch: list[Kept], error: DigiTwinError) -> None:
        """Cut a refused batch in two; drop an event that was refused alone."""
        self._batches.popleft()
        middle = len(batch) // 2
        if middle:
            self._batches.extendleft((batch[middle:], batch[:middle]))
            return
        kept = batch[0]
        reduced = self._reduced(kept.event, error)
        log.error(
            "recorder: the database refused an event (%s: %s); %s",
            type(kept.event).__name__,
            error.code,
            "its text is stored without it" if reduced else "it is dropped",
        )
        if reduced is not None:
            self._batches.appendleft([kept._replace(event=reduced)])
            return
        self.lose(1)
        self._settle(batch)

    def _reduced(self, event: Event, error: DigiTwinError) -> Event | None:
        """Return the event without the reference that was refused; None if there is none."""
        field = error.details.get("field")
        if type(event) is SourceWrite and field == "document_id" and event.document_id:
            return replace(event, document_id=None)
        opening = None if event.turn_id is None else self._opening.get(event.turn_id)
        if opening is not None and isinstance(error, AlreadyExistsError):
            del self._opening[opening.turn_id]  # it exists: it is extended instead
            return replace(opening, opens=False, status=None) if event is opening else event
        if field != "participant_id":
            return None
        if opening is not None and opening.participant_id:
            self._opening[opening.turn_id] = unnamed = replace(opening, participant_id=None)
            return unnamed if event is opening else event
        if type(event) is TurnWrite and event.participant_id:
            return replace(event, participant_id=None)
        return None

    def _give_up(self, error: DigiTwinError) -> None:
        """Drop everything: the session takes nothing any more."""
        self.refusal = error
        self._gather()
        log.error(
            "recorder: the session takes nothing, %d events are dropped: %s", len(self), error.code
        )
        while self._batches:
            batch = self._batches.popleft()
            self.lose(len(batch))
            self._settle(batch)

    def lose(self, events: int) -> None:
        """Count events that were accepted and are not stored, or not whole."""
        self.dropped += events
        self.lost += events

    def _settle(self, batch: list[Kept]) -> None:
        """Note that events need no more room, since they are stored or dropped."""
        self._settled += len(batch)
        self.size -= sum(kept.size for kept in batch)
        if not self.is_full:
            for room in self._rooms:
                _wake(room)
            self._rooms.clear()
        while self._waiters and self._waiters[0][0] <= self._settled:
            _wake(self._waiters.popleft()[1])

    async def settled(self) -> None:
        """Wait until all that was accepted so far is stored or dropped."""
        if len(self):
            future = asyncio.get_running_loop().create_future()
            self._waiters.append((self._accepted, future))
            await future

    async def room(self) -> None:
        """Wait until it is not full."""
        while self.is_full:
            future = asyncio.get_running_loop().create_future()
            self._rooms.append(future)
            await future


def _joins(event: Event, last: Event) -> bool:
    """Add a piece of the twin's text to the one before it, if that is of the same turn."""
    if type(event) is not Said or type(last) is not Said or event.turn_id != last.turn_id:
        return False
    last.pieces.extend(event.pieces)
    return True


def _is_gone(error: DigiTwinError) -> bool:
    """Return whether the session is missing, or has ended for longer than `late_turns`."""
    if isinstance(error, NotFoundError):
        return error.details.get("field") in ("session_id", "user_id")
    return isinstance(error, InvalidStateError)


def _is_refused(error: DigiTwinError) -> bool:
    """Return whether a value is at fault, so that the same write will fail again."""
    if isinstance(error, StatementFailedError):
        return str(error.details.get("sqlstate"))[:2] in _DATA_FAULTS
    return isinstance(error, InvalidInputError | AlreadyExistsError | NotFoundError)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
