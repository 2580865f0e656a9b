"""A bound for every statement, also on a network that has frozen.

Asyncpg's ``command_timeout`` sets and clears two timers for each statement, a tenth of what a
short read takes. All statements of a pool have the same bound, so that the one begun first is
due first: one timer, for that one, watches over all.
"""

from __future__ import annotations

import asyncio
from typing import Any


class Watch:
    """Cuts connections whose statement is not answered in time.

    Args:
        limit: seconds a statement may take; the server's own ``statement_timeout`` comes first.
    """

    def __init__(self, limit: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.limit = limit
        self._due: dict[Any, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, connection: Any) -> None:
        """A statement is sent; :meth:`end` must follow."""
        due = self._due[connection] = self._loop.time() + self.limit
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._cut_overdue)

    def end(self, connection: Any) -> bool:
        """It ended; whether in time."""
        return self._due.pop(connection, None) is not None

    def stop(self) -> None:
        """Nobody asks any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cut_overdue(self) -> None:
        self._timer = None
        now = self._loop.time()
        for connection, due in list(self._due.items()):
            if due > now:
                self._timer = self._loop.call_at(due, self._cut_overdue)
                return
            del self._due[connection]
            connection.terminate()
