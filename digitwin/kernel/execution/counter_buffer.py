"""Counts that are written in batches: a hit costs its reader no statement."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import suppress
from contextvars import Context
from typing import TypeAlias

_logger = logging.getLogger(__name__)

Key: TypeAlias = tuple[Hashable, ...]
Batch: TypeAlias = Mapping[Key, Mapping[str, int]]


class Buffer:
    """Adds up counts by key and hands them on together.

    Nothing is lost while the database is away: a batch that could not be written is counted
    again with the next one. Memory is bounded all the same: with ``max_keys`` keys waiting,
    new keys go uncounted, which the log says.

    Args:
        write: stores a batch, adding it to what is there.
        interval: seconds between two flushes of the background task.
        max_keys: keys held at most; at half of it the background task flushes at once.
    """

    def __init__(
        self,
        write: Callable[[Batch], Awaitable[None]],
        *,
        interval: float = 5.0,
        max_keys: int = 10_000,
    ) -> None:
        self._write = write
        self._interval = interval
        self._max_keys = max_keys
        self._counts: dict[Key, dict[str, int]] = {}
        self._uncounted = 0
        self._flushing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, key: Key, **counts: int) -> None:
        """Count; nothing is awaited."""
        held = self._counts.get(key)
        if held is None:
            held = self._room_for(key)
        for name, count in counts.items():
            held[name] = held.get(name, 0) + count

    def _room_for(self, key: Key) -> dict[str, int]:
        if len(self._counts) >= self._max_keys:
            self._uncounted += 1
            return {}
        if len(self._counts) == self._max_keys // 2:
            self._wake.set()
        return self._counts.setdefault(key, {})

    async def flush(self) -> None:
        """Write what was counted before this call; one flush at a time.

        When ``write`` fails or is cancelled its counts wait for the next flush. Should its
        outcome have been unknown, they may then be counted twice.
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
        for key, counts in batch.items():
            self.add(key, **counts)

    def start(self) -> None:
        """Flush every ``interval`` from now on, in a task that belongs to no transaction."""
        if self._task is None:
            self._stopping = False
            self._task = asyncio.create_task(self._run(), name="digitwin usage", context=Context())

    async def stop(self) -> None:
        """End the background task and flush a last time."""
        self._stopping = True
        self._wake.set()
        task, self._task = self._task, None
        if task is not None:
            await task
        await self.flush()

    async def _run(self) -> None:
        while not self._stopping:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._interval)
            if not self._stopping:
                await self._try_to_flush()
            self._wake.clear()

    async def _try_to_flush(self) -> None:
        if self._uncounted:
            _logger.warning("usage: %d counts had no room and are missing", self._uncounted)
            self._uncounted = 0
        try:
            await self.flush()
        except Exception:
            _logger.exception("usage: counts of %d keys wait for the next flush", len(self))
