"""Keeping a store within its bounds, in the background: no write counts rows or waits."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final

from digitwin.kernel.execution.background import BackgroundTask
from digitwin.kernel.execution.core import Core

SHARE: Final = 0.1
"""Of a bound: a handle checks the bound after writing this much."""

_logger = logging.getLogger(__name__)


class Evictor:
    """Evicts a store's oldest entries once this handle has written a share of its bounds.

    A store may therefore exceed its bounds by that share for each handle.

    Args:
        evict: deletes what is beyond the bounds and returns how many entries that were.
        rows: the bound in entries; 0 means none.
        size: the bound in bytes; 0 means none.
    """

    def __init__(
        self, core: Core, evict: Callable[[], Awaitable[int]], rows: int, size: int
    ) -> None:
        self._core = core
        self._evict = evict
        self._bounded = bool(rows or size)
        self._row_share = max(1.0, rows * SHARE) if rows else math.inf
        self._size_share = max(1.0, size * SHARE) if size else math.inf
        self._rows = 0
        self._size = 0
        self._task = BackgroundTask(self._run, name="cache eviction", logger=_logger)

    def count_write(self, size: int) -> None:
        """Count an entry written; awaits nothing."""
        self._rows += 1
        self._size += size
        if self._is_due() and not self._core.closing:
            self._task.wake()

    async def evict(self) -> int:
        """Evict what is beyond the bounds now; return how many entries."""
        if not self._bounded:
            return 0
        self._rows = self._size = 0
        return await self._evict()

    async def close(self) -> None:
        """Stop; another handle's next check evicts the rest."""
        await self._task.stop()

    def _is_due(self) -> bool:
        return self._rows >= self._row_share or self._size >= self._size_share

    async def _run(self) -> None:
        with self._core.working():
            while self._is_due():  # writes go on meanwhile
                _logger.debug("cache: %d of the oldest entries evicted", await self.evict())
