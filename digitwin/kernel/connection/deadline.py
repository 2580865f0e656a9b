"""A deadline for every statement, also on a frozen network.

Asyncpg's ``command_timeout`` sets and clears two timers for each statement, which is a tenth of
a short read's time. All statements of a pool have the same time limit, so that the one that began
first is due first: one timer, set for that one, serves all.
"""

from __future__ import annotations

import asyncio
from typing import Any


class DeadlineTimer:
    """Terminates connections whose statement is not answered in time.

    Args:
        limit: seconds a statement may take; more than the server's ``statement_timeout``.
    """

    def __init__(self, limit: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.limit = limit
        self._due: dict[Any, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, connection: Any) -> None:
        """Start the time of a statement on a connection; :meth:`end` must follow."""
        due = self._due[connection] = self._loop.time() + self.limit
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._terminate_overdue)

    def end(self, connection: Any) -> bool:
        """End it; return whether it ended in time."""
        return self._due.pop(connection, None) is not None

    def stop(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _terminate_overdue(self) -> None:
        self._timer = None
        now = self._loop.time()
        for connection, due in list(self._due.items()):
            if due > now:
                self._timer = self._loop.call_at(due, self._terminate_overdue)
                return
            del self._due[connection]
            connection.terminate()
