"""Whose turn it is to be sent: a queue by time, with a bound on what is under way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final

from digitwin.conversations.recorder.outbox import Outbox
from digitwin.errors import DigiTwinError

PAUSES: Final = (0.1, 5.0)
"""Seconds before a failed write is tried again, at first and at most."""


class Route:
    """One recorder's outbox on its way.

    Args:
        outbox: what is sent.
        end: ends the recorder.
    """

    def __init__(self, outbox: Outbox, end: Callable[[], None]) -> None:
        self.outbox = outbox
        self.end: Callable[[], None] | None = end
        """None once it has ended."""
        self.due: float | None = None
        """When it is to be sent; None while it is being sent, or has nothing to send."""
        self.is_sending = False
        self.is_urgent = False
        """Whether what came meanwhile is to be sent at once."""
        self.failure: DigiTwinError | None = None
        """Why the last write failed."""
        self._pause = 0.0

    @property
    def pause(self) -> float:
        """Seconds until a failed write is tried again."""
        return self._pause * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load

    def failed(self, error: DigiTwinError) -> None:
        """Note a failure: the next pause is twice as long."""
        shortest, longest = PAUSES
        self.failure = error
        self._pause = min(max(2 * self._pause, shortest), longest)

    def succeeded(self) -> None:
        """Note a success, or that one is to be expected."""
        self.failure, self._pause = None, 0.0


class Lane:
    """Sends what is due, the first due first.

    Args:
        send: begins to send.
        most: sent at once.
        most_if_late: sent at once while something has waited ``patience`` seconds too long.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        send: Callable[[Route], None],
        *,
        most: int,
        most_if_late: int,
        patience: float = 0.0,
    ) -> None:
        self._loop = loop
        self._send = send
        self._most, self._most_if_late = most, most_if_late
        self._patience = patience
        self._under_way = 0
        self._queue: list[tuple[float, int, Route]] = []
        self._count = 0
        self._timer: asyncio.Handle | None = None
        self._wakes = 0.0
        """When the timer is due: uvloop's does not tell if that is at once."""

    def put(self, route: Route, due: float) -> None:
        """Send this at ``due``, which may be earlier than was said before."""
        route.due = due
        self._count += 1
        heappush(self._queue, (due, self._count, route))
        self._set_timer()

    def freed(self) -> None:
        """Note that one of those under way has ended."""
        self._under_way -= 1
        self._look()

    def stop(self) -> None:
        """Send no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._queue.clear()
        self._most = self._most_if_late = 0

    def _set_timer(self) -> None:
        if not self._queue or self._under_way >= self._most_if_late:
            return
        wakes = self._queue[0][0]
        if self._under_way >= self._most:
            wakes += self._patience
        if self._timer is not None:
            if self._wakes <= wakes:
                return
            self._timer.cancel()
        self._wakes = wakes
        self._timer = self._loop.call_at(wakes, self._look)

    def _look(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._loop.time()
        while self._queue and self._queue[0][0] <= now:
            is_late = now >= self._queue[0][0] + self._patience
            if self._under_way >= (self._most_if_late if is_late else self._most):
                break
            due, _, route = heappop(self._queue)
            if route.due == due:  # else it was put again since, or is being sent
                route.due = None
                self._under_way += 1
                self._send(route)
        self._set_timer()
