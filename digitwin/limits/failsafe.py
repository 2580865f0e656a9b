"""Bounds how long a limiter call waits for the database; then the fallback decides."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from digitwin.errors import ConnectionFailedError, DigiTwinError
from digitwin.settings import Settings

RETRY_AFTER: Final = 1.0
"""The ``retry_after`` of a call denied without the database."""
LOG_PAUSE: Final = 10.0
"""Seconds between two log lines."""

_logger = logging.getLogger(__name__)
T = TypeVar("T")


class Failsafe:
    """Waits a bounded time for the database, also on a frozen network.

    The statement runs in a task of its own. On timeout it is cancelled and ends in the
    background, where its connection may take a second to come back: the caller does not wait.

    Args:
        seconds: the bound.
        allow: the fallback decision.
    """

    def __init__(self, seconds: float, *, allow: bool) -> None:
        self._seconds = seconds
        self.allow = allow
        self._running: set[asyncio.Task[Any]] = set()
        self._unanswered = 0
        self._logged_at = -LOG_PAUSE

    @classmethod
    def of(cls, settings: Settings) -> Failsafe | None:
        """Return the failsafe that the settings ask for; None without ``decision_timeout``."""
        if settings.decision_timeout is None:
            return None
        return cls(settings.decision_timeout, allow=settings.limiter_on_timeout == "allow")

    async def run(self, statement: Coroutine[Any, Any, T]) -> T | None:
        """Return the result, or None on timeout or if the database cannot decide."""
        task = asyncio.create_task(statement)
        self._running.add(task)
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait([task], timeout=self._seconds)
            if task.done():
                return task.result()
        except DigiTwinError as error:
            if not _is_of_the_server(error):
                raise
            self._log(error)
            return None
        finally:
            task.cancel()
        self._log(f"no answer within {self._seconds:g} s")
        return None

    async def stop(self) -> None:
        """Wait for cancelled statements to end."""
        if self._running:
            await asyncio.wait(self._running)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not warn after a timeout

    def _log(self, reason: object) -> None:
        self._unanswered += 1
        now = asyncio.get_running_loop().time()
        if now - self._logged_at < LOG_PAUSE:
            return
        _logger.warning(
            "limits: %s without the database, %d times since the last line: %s",
            "allowed" if self.allow else "denied",
            self._unanswered,
            reason,
        )
        self._logged_at, self._unanswered = now, 0


def _is_of_the_server(error: DigiTwinError) -> bool:
    """Return whether the server failed, rather than the call: the base class is for the rest."""
    return isinstance(error, ConnectionFailedError) or type(error) is DigiTwinError
