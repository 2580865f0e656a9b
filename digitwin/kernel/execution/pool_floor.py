"""Keeps ``pool_min`` connections of the pool open, in the background.

Asyncpg's pool can do this too, but logs a traceback of its own for each failed attempt.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

from digitwin.errors import DigiTwinError
from digitwin.kernel.connection.pool import Pool
from digitwin.kernel.execution.background import NEVER, BackgroundTask

PAUSES: Final = (1.0, 30.0)
"""Seconds before another attempt after a failed one, at first and at most."""

_logger = logging.getLogger(__name__)


class PoolFloor:
    """Opens connections whenever fewer than ``floor`` are open.

    Of a row of failures the first is logged, and the success that ends it.
    """

    def __init__(self, pool: Pool, floor: int) -> None:
        self._pool = pool
        self._floor = floor
        self._pauses: Iterator[float] | None = None
        """Of a row of failures; None while there is none."""
        self._task = BackgroundTask(self._run, name="pool floor", logger=_logger)
        self.trying = False
        """Whether an attempt is under way."""

    @property
    def active(self) -> bool:
        """Whether an attempt is under way or scheduled."""
        return self._task.active

    def start(self) -> None:
        """Restore the floor whenever a connection is lost from now on."""
        if self._floor:
            self._pool.on_lost = self.restore

    def restore(self) -> None:
        """Open what is missing, in the background."""
        if self._pool.size < self._floor:
            self.trying = True
            self._task.wake()

    async def stop(self) -> None:
        """End the background task."""
        self._pool.on_lost = None
        await self._task.stop()

    async def _run(self) -> float:
        try:
            while self._pool.size < self._floor and await self._pool.open_one():
                pass
        except DigiTwinError as error:
            return self._failed(error)
        finally:
            self.trying = False
        if self._pauses is not None:
            self._pauses = None
            _logger.info("pool: %d connections are open again", self._pool.size)
        return NEVER

    def _failed(self, error: DigiTwinError) -> float:
        if self._pauses is None:
            self._pauses = _growing()
            _logger.warning("pool: connections could not be opened again, to be retried: %s", error)
        return next(self._pauses)


def _growing() -> Iterator[float]:
    pause, longest = PAUSES
    while True:
        yield pause
        pause = min(2 * pause, longest)
