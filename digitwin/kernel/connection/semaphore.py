"""So many places and no more, first come first served."""

from __future__ import annotations

import asyncio
from collections import deque


class Slots:
    """A semaphore whose free case is one comparison: it stands before every statement.

    A place that is given back goes to whoever has waited longest, by hand: nobody who comes
    later can take it first.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiters)

    def take_now(self) -> bool:
        """Take a place if one is free; whoever waits has none free."""
        if self._free:
            self._free -= 1
            return True
        return False

    async def take(self, timeout: float) -> None:
        """Take a place, waiting for it.

        Raises:
            TimeoutError: none came free within ``timeout`` seconds.
        """
        if self.take_now():
            return
        place = asyncio.get_running_loop().create_future()
        self._waiters.append(place)
        try:
            async with asyncio.timeout(timeout):
                await place
        except BaseException:
            if place.done() and not place.cancelled():
                self.give_back()  # handed over in the very moment of giving up
            elif place in self._waiters:
                self._waiters.remove(place)
            raise

    def give_back(self) -> None:
        """Leave a place to the one who has waited longest, or free."""
        while self._waiters:
            place = self._waiters.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1
