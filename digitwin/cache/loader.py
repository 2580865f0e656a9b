"""Loads a missing value once, whichever of the processes that want it does so."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextvars import Context
from typing import Any, Final, TypeAlias

from digitwin.cache import invalidation
from digitwin.cache.cache_table import CacheTable
from digitwin.cache.fields import EntryKey
from digitwin.cache.locks import AdvisoryLocks
from digitwin.cache.rows import CacheRow
from digitwin.cache.single_flight import SingleFlight
from digitwin.errors import ClosedError, ConnectionFailedError
from digitwin.kernel.connection.transactions import outside
from digitwin.kernel.execution.core import Core

POLL_PAUSES: Final = (0.01, 0.25)
"""Seconds between two polls for another process's value, the shortest and the longest."""
LATENESS: Final = 0.25
"""How late a poll may find the value, as a share of the time waited so far."""

LoadRow: TypeAlias = Callable[[], Awaitable[CacheRow]]

_logger = logging.getLogger(__name__)


class Loader:
    """Loads the missing values of one store.

    Callers in one process share one load (:class:`SingleFlight`). Among processes, the one
    that gets the entry's lock calls its factory. The others poll for the value and for the
    lock, since a factory that fails notifies no one.
    """

    def __init__(self, core: Core, table: CacheTable, locks: AdvisoryLocks) -> None:
        self._core = core
        self._table = table
        self._locks = locks
        self._single_flight: SingleFlight[Any] = SingleFlight()
        self._refreshing: dict[Hashable, asyncio.Task[None]] = {}

    async def load(
        self, entry_key: EntryKey, tags: list[str], epochs: list[int], load: LoadRow
    ) -> Any:
        """Return the stored form of a value that was missing when ``epochs`` were read.

        The epochs are part of the load's key: a caller that comes after an invalidation does
        not share a load from before it.
        """
        return await self._single_flight.run(
            (entry_key, *epochs), lambda: self._load_once(entry_key, tags, epochs, load)
        )

    def refresh(
        self, entry_key: EntryKey, tags: list[str], epochs: list[int], load: LoadRow
    ) -> None:
        """Reload an expired value in the background, unless a load is under way already."""
        key = (entry_key, *epochs)
        if key in self._single_flight or key in self._refreshing or self._core.closing:
            return
        task = self._refreshing[key] = asyncio.create_task(
            self._refresh(entry_key, tags, epochs, load),
            name="digitwin cache refresh",
            context=Context(),  # no transaction or scope of the caller
        )
        task.add_done_callback(lambda _: self._refreshing.pop(key))

    async def close(self) -> None:
        """Cancel refreshes that are still running after the drain."""
        for task in list(self._refreshing.values()):
            task.cancel()
            await asyncio.wait([task])

    async def _refresh(
        self, entry_key: EntryKey, tags: list[str], epochs: list[int], load: LoadRow
    ) -> None:
        try:
            with self._core.working():
                await self.load(entry_key, tags, epochs, load)
        except ClosedError:
            pass
        except Exception:  # whatever the factory raises; there is no caller to raise it to
            _logger.exception("cache: a value for %s was not refreshed", self._table.name)

    async def _load_once(
        self, entry_key: EntryKey, tags: list[str], epochs: list[int], load: LoadRow
    ) -> Any:
        pauses = _pauses()
        lock = self._table.lock_number(entry_key, epochs)
        while (permit := await self._locks.acquire(lock)) is None:
            await asyncio.sleep(next(pauses))
            found = await self._table.lookup(entry_key, tags)
            if found.stored is not None:
                return found.stored
            lock = self._table.lock_number(entry_key, found.epochs)
        with self._locks.holding(permit):
            # Another process may have stored it between the last lookup and the permit
            found = await self._table.lookup(entry_key, tags)
            if found.stored is not None:
                return found.stored
            return await self._call(load, found.epochs)

    async def _call(self, load: LoadRow, epochs: list[int]) -> Any:
        began = time.monotonic()
        with outside():
            row = await load()
        if time.monotonic() - began <= invalidation.LONGEST_FACTORY:
            await self._store(row, epochs)
        return row.stored

    async def _store(self, row: CacheRow, epochs: list[int]) -> None:
        """Store a loaded value; without the database, its caller still gets it."""
        try:
            await self._table.put_if_current(row, epochs)
        except ConnectionFailedError as error:
            _logger.warning("cache: a value for %s was not stored: %s", self._table.name, error)


def _pauses() -> Iterator[float]:
    """Yield pauses that grow with the time waited so far."""
    shortest, longest = POLL_PAUSES
    began = time.monotonic()
    while True:
        waited = time.monotonic() - began
        pause = min(max(waited * LATENESS, shortest), longest)
        yield pause * random.uniform(0.8, 1)  # noqa: S311 - spreads load
