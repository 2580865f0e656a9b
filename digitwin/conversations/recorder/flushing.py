"""When the recorders of a handle write: one timer for all, few statements at once.

A recorder that has accepted something is due after a part of ``recorder_lag``, and is sent alone.
One whose write failed is tried again with growing pauses, in a lane of its own that sends one at a
time: a locked session, or a server that does not answer, takes one connection from the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass
from threading import Lock
from typing import Final

from digitwin.conversations.recorder.clock import DatabaseClock
from digitwin.conversations.recorder.lanes import Lane, Route
from digitwin.errors import (
    ConnectionFailedError,
    DigiTwinError,
    QueryTimeoutError,
    StatementFailedError,
)
from digitwin.kernel.execution.core import Core

PART_OF_LAG: Final = 0.6
"""How long events wait for others, as a part of ``recorder_lag``; the rest is for the write."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecorderHealth:
    """State of the recorders of a handle."""

    live: int
    """Recorders in use."""
    buffered: int
    """Events that are accepted and not stored."""
    buffered_bytes: int
    """Their approximate size."""
    lag_ms: float
    """Age of the oldest of them; 0 if there is none."""
    dropped: int
    """Events that will never be stored: refused by the database, of a session that is gone, or
    not accepted while the buffer was full."""
    error: str | None
    """The code of the last error, while writes fail."""
    failed_callbacks: int = 0
    """Errors of callbacks, hooks and caches, kept from the framework by ``guarding``."""


class Recorders:
    """The recorders of a handle."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._loop = core.loop
        self._wait = PART_OF_LAG * core.settings.recorder_lag
        self._routes: set[Route] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._dropped = 0
        self._error: str | None = None
        self._failed_callbacks: dict[str, int] = {}
        self._counting = Lock()
        pool_max = core.settings.pool_max
        self._lane = Lane(
            self._loop,
            self._begin,
            most=pool_max // 2,
            most_if_late=pool_max - 1,
            patience=self._wait / 10,
        )
        self._retries = Lane(self._loop, self._begin_again, most=1, most_if_late=1)
        self.clock = DatabaseClock()
        self.is_closed = False

    def require_open(self) -> None:
        """Refuse a call on a handle that is closed or closing, or another process's.

        Raises:
            ClosedError: it is closed or closing.
            InvalidStateError: it was opened before a fork.
        """
        if self._core.closing:
            raise self._core.refusal()

    def add(self, route: Route) -> None:
        """Take a recorder on."""
        self._routes.add(route)

    def remove(self, route: Route) -> None:
        """Forget a recorder, once all that it has accepted is written."""
        route.end = None
        self._forget_if_done(route)

    def accepted(self, route: Route) -> None:
        """Have what a recorder has accepted written in time."""
        if route.due is None and not route.is_sending:
            self._lane.put(route, self._loop.time() + self._wait)

    def hurry(self, route: Route) -> None:
        """Have it written now."""
        if route.is_sending:
            route.is_urgent = True
        elif len(route.outbox):
            self._lane_of(route).put(route, self._loop.time())

    def health(self) -> RecorderHealth:
        """Return the state of all recorders."""
        boxes = [route.outbox for route in self._routes]
        since = [box.oldest for box in boxes if box.oldest is not None]
        return RecorderHealth(
            live=sum(route.end is not None for route in self._routes),
            buffered=sum(map(len, boxes)),
            buffered_bytes=sum(box.size for box in boxes),
            lag_ms=1000 * max(0.0, self._loop.time() - min(since)) if since else 0.0,
            dropped=self._dropped + sum(box.dropped for box in boxes),
            error=self._error,
            failed_callbacks=sum(self._failed_callbacks.values()),
        )

    @contextmanager
    def guarding(self, name: str) -> Iterator[None]:
        """Keep an error of a callback from what calls it: log the first of each name, count all."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - logged and counted: the conversation goes on
            self._callback_failed(name, error)

    def _callback_failed(self, name: str, error: Exception) -> None:
        with self._counting:  # callbacks may be called in several threads
            count = self._failed_callbacks[name] = self._failed_callbacks.get(name, 0) + 1
        if count == 1:
            kind = error.code if isinstance(error, DigiTwinError) else type(error).__name__
            log.error("callback %s failed, what it was called for is lost: %s", name, kind)

    async def close(self, timeout: float) -> None:
        """End all recorders and write what they have accepted, as far as the timeout allows."""
        for route in list(self._routes):
            if route.end is not None:
                route.end()
            self.hurry(route)
        waiting = [route.outbox.settled() for route in self._routes]
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await asyncio.gather(*waiting)
        self.is_closed = True
        self._lane.stop()
        self._retries.stop()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        left = sum(len(route.outbox) for route in self._routes)
        if left:
            log.error("recorder: the handle was closed with %d events that are not stored", left)

    def _begin(self, route: Route) -> None:
        self._send_from(self._lane, route)

    def _begin_again(self, route: Route) -> None:
        self._send_from(self._retries, route)

    def _send_from(self, lane: Lane, route: Route) -> None:
        route.is_sending = True
        task = self._loop.create_task(
            self._send(route), name="digitwin recorder", context=Context()
        )
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            lane.freed()

        task.add_done_callback(ended)

    async def _send(self, route: Route) -> None:
        try:
            await route.outbox.flush()
        except DigiTwinError as error:
            self._failed(route, error)
        except Exception as error:
            log.exception("recorder: a write failed, to be tried again")
            self._failed(route, StatementFailedError(type(error).__name__))
        else:
            self._succeeded(route)
        finally:
            route.is_sending = False
        self._put_again(route)

    def _put_again(self, route: Route) -> None:
        since = route.outbox.oldest
        if since is None:
            self._forget_if_done(route)
            return
        now = self._loop.time()
        due = since + self._wait
        if route.failure is not None:
            due = now + route.pause
        elif route.is_urgent:
            due = now
        route.is_urgent = False
        self._lane_of(route).put(route, due)

    def _failed(self, route: Route, error: DigiTwinError) -> None:
        if self._error is None:
            log.warning("recorder: writes fail, to be tried again: %s", error.code)
        self._error = error.code
        route.failed(error)

    def _succeeded(self, route: Route) -> None:
        """If this one had failed for lack of a server, the others need not wait any longer."""
        failure = route.failure
        route.succeeded()
        if failure is not None and _is_outage(failure):
            for other in self._routes:
                if other.due is not None and _is_outage(other.failure):
                    other.succeeded()
                    self._lane.put(other, self._loop.time())
        if self._error is not None and all(other.failure is None for other in self._routes):
            self._error = None
            log.info("recorder: writes succeed again")

    def _lane_of(self, route: Route) -> Lane:
        return self._lane if route.failure is None else self._retries

    def _forget_if_done(self, route: Route) -> None:
        if route.end is None and not len(route.outbox) and route in self._routes:
            self._routes.remove(route)
            self._dropped += route.outbox.dropped


def _is_outage(error: DigiTwinError | None) -> bool:
    """Return whether it is about the server; a lock that was not granted is about one session."""
    return isinstance(error, ConnectionFailedError) and not isinstance(error, QueryTimeoutError)
