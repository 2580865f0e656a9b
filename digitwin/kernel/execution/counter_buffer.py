"""Counters written in batches: counting a hit costs no statement."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import TypeAlias

from digitwin.kernel.execution.background import BackgroundTask

_logger = logging.getLogger(__name__)

Key: TypeAlias = tuple[Hashable, ...]
Batch: TypeAlias = Mapping[Key, Mapping[str, int]]


class CounterBuffer:
    """Adds up counts by key and writes them together.

    Nothing is lost while the database is unavailable: a batch that could not be written is
    written with the next one. Memory is bounded: while ``max_keys`` keys wait, new keys are not
    counted, and a warning is logged.

    Args:
        write: adds a batch to the stored counts.
        interval: seconds between two background flushes.
        max_keys: keys held at most; at half of it the buffer is flushed at once.
    """

    def __init__(
        self,
        write: Callable[[Batch], Awaitable[None]],
        *,
        interval: float = 5.0,
        max_keys: int = 10_000,
    ) -> None:
        self._write = write
        self._max_keys = max_keys
        self._counts: dict[Key, dict[str, int]] = {}
        self._uncounted = 0
        self._flushing = asyncio.Lock()
        self._task = BackgroundTask(
            self._flush_and_report, name="usage counters", logger=_logger, interval=interval
        )

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, key: Key, **counts: int) -> None:
        """Add to the counts of a key; awaits nothing."""
        if key not in self._counts and len(self._counts) == self._max_keys // 2:
            self._task.wake()
        self._count(key, counts)

    def _count(self, key: Key, counts: Mapping[str, int]) -> None:
        held = self._counts.get(key)
        if held is None:
            held = self._room_for(key)
        for name, count in counts.items():
            held[name] = held.get(name, 0) + count

    def _room_for(self, key: Key) -> dict[str, int]:
        if len(self._counts) >= self._max_keys:
            self._uncounted += 1
            return {}
        return self._counts.setdefault(key, {})

    async def flush(self) -> None:
        """Write what was counted before this call; one flush at a time.

        If ``write`` fails or is cancelled, its counts wait for the next flush. If its outcome
        was unknown, they may be counted twice.

        Raises:
            Exception: what ``write`` raises.
        """
        async with self._flushing:
            batch, self._counts = self._counts, {}
            if not batch:
                return
            try:
                await self._write(batch)
            except BaseException:
                self._put_back(batch)
                raise

    def _put_back(self, batch: Batch) -> None:
        # without waking the task: while the database is away, a retry waits for its interval
        for key, counts in batch.items():
            self._count(key, counts)

    def start(self) -> None:
        """Flush every ``interval`` from now on."""
        self._task.start()

    async def stop(self) -> None:
        """End the background task and flush a last time; raises as :meth:`flush` does."""
        await self._task.stop(finish=True)  # a flush cut off may be counted twice
        await self.flush()

    async def _flush_and_report(self) -> None:
        if self._uncounted:
            _logger.warning("usage: %d counts were dropped, the buffer is full", self._uncounted)
            self._uncounted = 0
        await self.flush()
