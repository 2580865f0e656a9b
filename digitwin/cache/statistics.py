"""Hits and misses: counted in memory, written in batches."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from digitwin.cache.fields import Place
from digitwin.errors import DigiTwinError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.counter_buffer import Batch, Buffer
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.sql.queries import load

_logger = logging.getLogger(__name__)
_SQL = load(__package__)


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """How one store is used, and what it holds."""

    hits: int
    misses: int
    hit_rate: float
    """Hits of all look-ups, 0 to 1; 0 before the first."""
    live: int
    """Entries that can be had."""
    expired: int
    """Entries past their time that were not cleared away yet."""
    bytes: int
    """Of the values of both, without keys and tags."""

    @classmethod
    def of(cls, hits: int, misses: int, sizes: Mapping[str, int]) -> StoreStatistics:
        rate = hits / (hits + misses) if hits else 0.0
        return cls(hits=hits, misses=misses, hit_rate=rate, **sizes)


class Counts:
    """What the stores of one handle count, until it is written."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._buffer = Buffer(self._write, interval=core.settings.flush_interval)
        self._buffer.start()

    def hits(self, store: str, count: int = 1) -> None:
        self._buffer.add((store,), hits=count)

    def misses(self, store: str, count: int = 1) -> None:
        self._buffer.add((store,), misses=count)

    def hit_of(self, place: Place) -> None:
        """Counted with the response itself, if it is still there when this is written."""
        self._buffer.add(place, hits=1)

    async def flush(self) -> None:
        """Write what was counted so far."""
        await self._buffer.flush()

    async def close(self) -> None:
        """Write the rest; a database that is gone does not keep the handle from closing."""
        try:
            await self._buffer.stop()
        except DigiTwinError as error:
            _logger.warning("cache: %d counts could not be written: %s", len(self._buffer), error)

    async def _write(self, batch: Batch) -> None:
        async with self._core.aside.transaction() as on:
            await self._write_usage(on, [(k[0], c) for k, c in batch.items() if len(k) == 1])
            await self._write_hits(on, [(k, c) for k, c in batch.items() if len(k) > 1])

    async def _write_usage(self, on: Statements, counted: Iterable[Any]) -> None:
        rows = [(store, c.get("hits", 0), c.get("misses", 0)) for store, c in counted]
        if rows:
            await on.execute(_SQL["count_usage"], *_columns(rows))

    async def _write_hits(self, on: Statements, counted: Iterable[Any]) -> None:
        rows = [(*place, counts["hits"]) for place, counts in counted]
        if rows:
            await on.execute(_SQL["count_hits"], *_columns(rows))


def _columns(rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
