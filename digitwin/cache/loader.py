"""A value that is not there is made once, by one of all who ask, in whatever process."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextvars import Context
from typing import Any, Final, TypeAlias

from digitwin.cache import invalidation
from digitwin.cache.cache_table import Row, Shelf
from digitwin.cache.fields import Place
from digitwin.cache.locks import Locks
from digitwin.cache.single_flight import Flights
from digitwin.errors import ClosedError, ConnectionFailedError
from digitwin.kernel.connection.transactions import outside
from digitwin.kernel.execution.core import Core

PAUSES: Final = (0.01, 0.25)
"""Seconds between two looks at what another process makes, the shortest and the longest."""
LATENESS: Final = 0.25
"""How much later than it is there a value may be seen, in parts of what was waited for it."""

Make: TypeAlias = Callable[[], Awaitable[Row]]

_logger = logging.getLogger(__name__)


class Maker:
    """Makes the missing values of one store.

    Whoever finds nothing joins the flight of his own process, or begins one; of the flights of
    all processes the one with the lock calls its factory. The others look again and again
    whether the value is there or the lock is free: a factory that failed tells nobody.
    """

    def __init__(self, core: Core, shelf: Shelf, locks: Locks) -> None:
        self._core = core
        self._shelf = shelf
        self._locks = locks
        self._flights: Flights[Any] = Flights()
        self._refreshing: dict[Hashable, asyncio.Task[None]] = {}

    async def make(self, place: Place, tags: list[str], epochs: list[int], make: Make) -> Any:
        """The stored form of a value that was not there when ``epochs`` were seen.

        They are part of the flight: who asks after an invalidation joins none from before.
        """
        return await self._flights.share(
            (place, *epochs), lambda: self._fly(place, tags, epochs, make)
        )

    def refresh(self, place: Place, tags: list[str], epochs: list[int], make: Make) -> None:
        """Have a value whose time is over made anew in the background, unless it already is."""
        flight = (place, *epochs)
        if flight in self._flights or flight in self._refreshing or self._core.closing:
            return
        task = self._refreshing[flight] = asyncio.create_task(
            self._refresh(place, tags, epochs, make),
            name="digitwin cache refresh",
            context=Context(),
        )
        task.add_done_callback(lambda _: self._refreshing.pop(flight))

    async def close(self) -> None:
        """End what is still refreshed after the time to drain."""
        for task in list(self._refreshing.values()):
            task.cancel()
            await asyncio.wait([task])

    async def _refresh(self, place: Place, tags: list[str], epochs: list[int], make: Make) -> None:
        try:
            with self._core.working():
                await self.make(place, tags, epochs, make)
        except ClosedError:
            pass
        except Exception:  # whatever the factory raises; nobody else would hear of it
            _logger.exception("cache: a value for %s was not refreshed", self._shelf.name)

    async def _fly(self, place: Place, tags: list[str], epochs: list[int], make: Make) -> Any:
        pauses = _pauses()
        while (permit := await self._locks.take(self._shelf.flight(place, epochs))) is None:
            await asyncio.sleep(next(pauses))
            look = await self._shelf.look(place, tags)
            if look.stored is not None:
                return look.stored
            epochs = look.epochs
        with self._locks.aboard(permit):
            # Another flight may have landed between the last look and the permit
            look = await self._shelf.look(place, tags)
            if look.stored is not None:
                return look.stored
            return await self._call(make, look.epochs)

    async def _call(self, make: Make, epochs: list[int]) -> Any:
        began = time.monotonic()
        with outside():
            row = await make()
        if time.monotonic() - began <= invalidation.LONGEST_FACTORY:
            await self._keep(row, epochs)
        return row.stored

    async def _keep(self, row: Row, epochs: list[int]) -> None:
        """What was made is not lost with the database: its caller gets it all the same."""
        try:
            await self._shelf.put_unless_forgotten(row, epochs)
        except ConnectionFailedError as error:
            _logger.warning("cache: a value for %s was not stored: %s", self._shelf.name, error)


def _pauses() -> Iterator[float]:
    """In step with what was waited so far: the longer it took, the less a moment matters."""
    shortest, longest = PAUSES
    began = time.monotonic()
    while True:
        waited = time.monotonic() - began
        pause = min(max(waited * LATENESS, shortest), longest)
        yield pause * random.uniform(0.8, 1)  # noqa: S311 - spreads load
