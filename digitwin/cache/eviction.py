"""How much a store may hold, seen to beside the traffic: no write counts or waits."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Final

from digitwin.errors import ClosedError, DigiTwinError
from digitwin.kernel.execution.core import Core

SHARE: Final = 0.1
"""Of a bound: after writing so much, a handle looks whether it is still kept."""

_logger = logging.getLogger(__name__)


class Bound:
    """Has a store evict its oldest entries once this handle has written a share of its bounds.

    What all handles write until they look is beyond the bound: a tenth of it for each.

    Args:
        evict: removes what is too much, and says how many entries that were.
        rows, size: the bounds, size in bytes; 0 is none.
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
        self._task: asyncio.Task[None] | None = None

    def wrote(self, size: int) -> None:
        """Count an entry; nothing is awaited."""
        self._rows += 1
        self._size += size
        if self._is_time() and self._task is None and not self._core.closing:
            self._task = asyncio.create_task(
                self._run(), name="digitwin cache bound", context=Context()
            )

    async def keep(self) -> int:
        """Evict what is too much now; how many entries that were."""
        if not self._bounded:
            return 0
        self._rows = self._size = 0
        return await self._evict()

    async def close(self) -> None:
        """End what goes on in the background; somebody's next look makes up for it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _is_time(self) -> bool:
        return self._rows >= self._row_share or self._size >= self._size_share

    async def _run(self) -> None:
        try:
            with self._core.working():
                while self._is_time():  # others write meanwhile
                    evicted = await self.keep()
                    _logger.debug("cache: the oldest %d entries had to make room", evicted)
        except ClosedError:
            pass
        except DigiTwinError as error:
            _logger.warning("cache: no room could be made: %s", error)
        finally:
            self._task = None
