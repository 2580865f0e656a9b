"""Connections that are ready to be used again."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Any

from digitwin.kernel.connection.connections import cut


class IdleConnections:
    """Idle connections, last in, first out, so that the surplus ones time out.

    Args:
        idle_timeout: seconds after which an idle connection is closed; 0 means never.
        max_lifetime: seconds after which a connection is replaced, idle or not, give or take a
            tenth so that they are not all replaced at once; 0 means never.
    """

    def __init__(self, idle_timeout: float, max_lifetime: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._idle_timeout = idle_timeout
        self._max_lifetime = max_lifetime
        self._idle: deque[tuple[Any, float]] = deque()
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(not connection.is_closed() for connection, _ in self._idle)

    def take(self) -> Any:
        """Return an open connection, or None."""
        while self._idle:
            connection, _ = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    def put(self, connection: Any) -> None:
        """Keep a connection, unless its lifetime has ended."""
        now = self._loop.time()
        if connection.ends <= now:
            cut(connection)
            return
        self._idle.append((connection, now))
        if self._sweep is None and self._idle_timeout:
            self._sweep = self._loop.call_later(self._idle_timeout, self._close_unused)

    def date(self, connection: Any) -> None:
        """Set the end of a new connection's lifetime."""
        if self._max_lifetime:
            lives = self._max_lifetime * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load
            connection.ends = self._loop.time() + lives

    def clear(self) -> None:
        """Close all of them."""
        for connection in self.empty():
            cut(connection)

    def empty(self) -> list[Any]:
        """Remove and return all of them."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        taken = [connection for connection, _ in self._idle]
        self._idle.clear()
        return taken

    def _close_unused(self) -> None:
        """Close those idle for too long, which are on the left."""
        self._sweep = None
        oldest = self._loop.time() - self._idle_timeout
        while self._idle and self._idle[0][1] <= oldest:
            cut(self._idle.popleft()[0])
        if self._idle:
            self._sweep = self._loop.call_at(
                self._idle[0][1] + self._idle_timeout, self._close_unused
            )
