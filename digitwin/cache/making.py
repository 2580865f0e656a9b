"""A value that is not there is made once, by one of all who ask, in whatever process."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, TypeAlias

from digitwin.cache import marks
from digitwin.cache.fields import Place
from digitwin.cache.flights import Flights
from digitwin.cache.locks import Locks
from digitwin.cache.shelf import Row, Shelf
from digitwin.errors import ConnectionFailedError
from digitwin.kernel.transactions import outside

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

    def __init__(self, shelf: Shelf, locks: Locks) -> None:
        self._shelf = shelf
        self._locks = locks
        self._flights: Flights[Any] = Flights()

    async def make(self, place: Place, tags: list[str], epochs: list[int], make: Make) -> Any:
        """The stored form of a value that was not there when ``epochs`` were seen.

        They are part of the flight: who asks after an invalidation joins none from before.
        """
        return await self._flights.share(
            (place, *epochs), lambda: self._fly(place, tags, epochs, make)
        )

    async def _fly(self, place: Place, tags: list[str], epochs: list[int], make: Make) -> Any:
        pauses = _pauses()
        while (permit := await self._locks.take(self._shelf.flight(place, epochs))) is None:
            await asyncio.sleep(next(pauses))
            stored, epochs = await self._shelf.look(place, tags)
            if stored is not None:
                return stored
        with self._locks.aboard(permit):
            # Another flight may have landed between the last look and the permit
            stored, epochs = await self._shelf.look(place, tags)
            return await self._call(make, epochs) if stored is None else stored

    async def _call(self, make: Make, epochs: list[int]) -> Any:
        began = time.monotonic()
        with outside():
            row = await make()
        if time.monotonic() - began <= marks.LONGEST_FACTORY:
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
