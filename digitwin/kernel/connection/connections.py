"""One connection of a handle, and when it is replaced."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from typing import Any

import asyncpg

from digitwin.kernel.connection import driver_errors, forking
from digitwin.kernel.connection.deadline import DeadlineTimer

NOW = -math.inf
"""As the end of a connection's lifetime: it is replaced when it is released."""


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """A connection without session state to reset on release."""

    ends = math.inf
    """When its lifetime ends, by the event loop's clock."""
    place: Any = None
    """Asyncpg's proxy for it, by which it is released to asyncpg's pool."""
    deadline: DeadlineTimer
    renew: Callable[[], None]
    """Have every connection of its pool replaced."""

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self._name = secrets.token_hex(6)
        forking.watch(self)

    def _get_unique_id(self, prefix: str) -> str:
        """Return a name that no other connection uses, in any process.

        Asyncpg's own are the same in each process. Behind a pooler that mixes up connections one
        client would execute another's statement; so it is told that the statement is missing.
        """
        name: str = super()._get_unique_id(prefix)
        return f"{name}{self._name}"

    def get_reset_query(self) -> str:
        return ""

    async def ask(self, method: str, sql: str, *args: Any) -> Any:
        """Send one statement by asyncpg's ``method`` and return its result.

        Raises:
            TimeoutError: it was not answered in time; the connection is terminated.
        """
        deadline = self.deadline
        deadline.begin(self)
        try:
            answer = await getattr(self, method)(sql, *args)
        except BaseException as fault:
            if not deadline.end(self) and isinstance(fault, driver_errors.DRIVER):
                raise TimeoutError from fault
            self.judge(fault)
            raise
        deadline.end(self)
        return answer

    def judge(self, fault: BaseException) -> None:
        """Have it replaced on release if ``fault`` says that it, or its server, is not usable.

        It is not closed at once: a transaction around the fault may go on after a savepoint.
        """
        if isinstance(fault, driver_errors.OUT_OF_STEP):
            cut(self)
        elif driver_errors.distrusts(fault):
            self.ends = NOW
            if driver_errors.is_read_only(fault):
                self.renew()


def cut(connection: Any) -> None:
    """Terminate an acquired connection; the pool opens a new one in its place."""
    if not connection.is_closed():
        connection.terminate()
