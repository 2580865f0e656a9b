"""Waiting for the database no longer than a caller can: a decision is made without it then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from digitwin.errors import ConnectionFailedError
from digitwin.settings import Settings

RETRY_AFTER: Final = 1.0
"""Seconds after which one who was denied without the database may try again."""
LOG_PAUSE: Final = 10.0
"""Seconds between two lines in the log."""

_logger = logging.getLogger(__name__)
T = TypeVar("T")


class Patience:
    """Waits so many seconds for an answer, also on a frozen network.

    The statement runs in a task of its own. One that is given up is cancelled and ends in the
    background, where taking its connection back may last a second: nobody waits for that.

    Args:
        seconds: how long.
        allow: what is decided in place of the database.
    """

    def __init__(self, seconds: float, *, allow: bool) -> None:
        self._seconds = seconds
        self.allow = allow
        self._asking: set[asyncio.Task[Any]] = set()
        self._unanswered = 0
        self._told = -LOG_PAUSE

    @classmethod
    def of(cls, settings: Settings) -> Patience | None:
        """As set; None when a caller waits as long as any call does."""
        if settings.decision_timeout is None:
            return None
        return cls(settings.decision_timeout, allow=settings.limiter_on_timeout == "allow")

    async def wait(self, asking: Coroutine[Any, Any, T]) -> T | None:
        """The answer, or None when there was none in time, or no connection."""
        task = asyncio.create_task(asking)
        self._asking.add(task)
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait([task], timeout=self._seconds)
            if task.done():
                return task.result()
        except ConnectionFailedError as error:
            self._tell(error)
            return None
        finally:
            task.cancel()
        self._tell(f"no answer within {self._seconds:g} s")
        return None

    async def stop(self) -> None:
        """Wait for what was given up to end."""
        if self._asking:
            await asyncio.wait(self._asking)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._asking.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also when nobody waits any more

    def _tell(self, reason: object) -> None:
        self._unanswered += 1
        now = asyncio.get_running_loop().time()
        if now - self._told < LOG_PAUSE:
            return
        _logger.warning(
            "limits: %s without the database, %d since the last line: %s",
            "allowed" if self.allow else "denied",
            self._unanswered,
            reason,
        )
        self._told, self._unanswered = now, 0
