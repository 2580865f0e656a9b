"""Hits and misses: counted in memory and written in batches."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from digitwin.cache.fields import EntryKey
from digitwin.errors import DigiTwinError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.counter_buffer import Batch, CounterBuffer
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.sql.queries import Queries

_logger = logging.getLogger(__name__)
QUERIES = Queries(__package__)


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """A store's use and its contents."""

    hits: int
    misses: int
    hit_rate: float
    """Share of hits among all lookups, 0 to 1; 0 before the first."""
    live: int
    """Entries that have not expired."""
    expired: int
    """Entries that have expired and are not purged yet."""
    bytes: int
    """Size of the values of both, without keys and tags."""

    @classmethod
    def of(cls, hits: int, misses: int, sizes: Mapping[str, int]) -> StoreStatistics:
        rate = hits / (hits + misses) if hits else 0.0
        return cls(hits=hits, misses=misses, hit_rate=rate, **sizes)


class HitCounters:
    """Counts the hits and misses of one handle's stores."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._buffer = CounterBuffer(self._write, interval=core.settings.flush_interval)
        self._buffer.start()

    def hits(self, store: str, count: int = 1) -> None:
        self._buffer.add((store,), hits=count)

    def misses(self, store: str, count: int = 1) -> None:
        self._buffer.add((store,), misses=count)

    def hit_of(self, entry_key: EntryKey) -> None:
        """Count a hit of one entry, in its row; dropped if the row is gone when it is written."""
        self._buffer.add(entry_key, hits=1)

    async def flush(self) -> None:
        """Write what was counted before this call."""
        await self._buffer.flush()

    async def close(self) -> None:
        """Write the rest; a failure is logged and does not keep the handle from closing."""
        try:
            await self._buffer.stop()
        except DigiTwinError as error:
            _logger.warning("cache: %d counts could not be written: %s", len(self._buffer), error)

    async def _write(self, batch: Batch) -> None:
        async with self._core.aside.transaction() as on:
            await self._write_usage(on, [(k[0], c) for k, c in batch.items() if len(k) == 1])
            await self._write_hits(on, [(k, c) for k, c in batch.items() if len(k) > 1])

    async def _write_usage(self, on: Statements, counted: list[Any]) -> None:
        if counted:
            await on.execute(
                QUERIES["count_usage"],
                stores=[store for store, _ in counted],
                hits=[counts.get("hits", 0) for _, counts in counted],
                misses=[counts.get("misses", 0) for _, counts in counted],
            )

    async def _write_hits(self, on: Statements, counted: list[Any]) -> None:
        if counted:
            await on.execute(
                QUERIES["count_hits"],
                user_ids=[entry_key.user_id for entry_key, _ in counted],
                audiences=[entry_key.audience for entry_key, _ in counted],
                keys=[entry_key.key for entry_key, _ in counted],
                hits=[counts["hits"] for _, counts in counted],
            )
