"""The first level: what this process has read lately, answered without asking the database.

Only reads fill it, never writes: whatever writes has it forget. A read that began before
something was forgotten is not remembered after it (:class:`Reading`), so that no old
value slips in behind its own invalidation. It answers only while it is trusted, which the
:class:`~digitwin.cache.listener.Listener` says; what it holds is the stored form, of which every
caller gets a value of its own.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary, WeakSet

from digitwin.cache import invalidation
from digitwin.cache.fields import Place
from digitwin.cache.invalidation import Target

OVERHEAD: Final = 1500
"""Bytes an entry takes besides its value, measured with 10,000 of them."""
TAG_OVERHEAD: Final = 250
"""Bytes each of its tags takes besides its text."""

Spot: TypeAlias = tuple[str, Place]
"""A store's name, and a place in it."""

_beside: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakSet[Memory]] = WeakKeyDictionary()
"""The memories of each event loop's handles: what one forgets, those beside it forget too."""


class _Held(NamedTuple):
    stored: Any
    until: float
    size: int
    targets: list[Target]


class Reading(NamedTuple):
    """When a read began: by the clock, and by what had been forgotten until then."""

    store: str
    generation: int
    began: float


class Memory:
    """Stored values by place, the least recently used ones going first.

    What is read once is not worth its place: a value is kept from its second reading on.

    Args:
        entries: held at most; 0 switches the level off.
        size: bytes held at most; 0 switches the level off.
    """

    def __init__(self, entries: int, size: int) -> None:
        loop = asyncio.get_running_loop()
        self._clock = loop.time
        self._entries = entries
        self._size = size
        self.wanted: Callable[[], None] = lambda: None
        """Called when there is something worth remembering and nobody vouches for it."""
        self._held: OrderedDict[Spot, _Held] = OrderedDict()
        self._spots: dict[Target, set[Spot]] = {}
        self._generations: defaultdict[str, int] = defaultdict(int)
        self._read_once: set[int] = set()
        self.on = bool(entries and size)
        self.bytes = 0
        self.trusted_until = -math.inf
        """Until when, by the event loop's clock, all news is sure to have been heard."""
        self._beside = _beside.setdefault(loop, WeakSet())
        if self.on:
            self._beside.add(self)

    def __len__(self) -> int:
        return len(self._held)

    def get(self, store: str, place: Place) -> Any:
        """The stored value, or None."""
        now = self._clock()
        if now >= self.trusted_until:
            return None
        spot = (store, place)
        held = self._held.get(spot)
        if held is None:
            return None
        if now >= held.until:
            self._drop(spot)
            return None
        self._held.move_to_end(spot)
        return held.stored

    def reading(self, store: str) -> Reading:
        """To be asked for before the database is."""
        return Reading(store, self._generations[store], self._clock())

    def keep(
        self, reading: Reading, place: Place, stored: Any, tags: Sequence[str], lives: float
    ) -> None:
        """Remember what was read, unless it may have been forgotten in between.

        Args:
            lives: seconds the database gave it when it was read, which was later than the
                reading began: here it never lives longer.
        """
        spot = (reading.store, place)
        if not self.on or self._is_first_reading(hash(spot)):
            return
        if self._clock() >= self.trusted_until:
            self.wanted()
            return
        if reading.generation != self._generations[reading.store]:
            return
        targets = invalidation.covering(reading.store, place, tags)
        size = OVERHEAD + sys.getsizeof(stored)
        size += sum(TAG_OVERHEAD + sys.getsizeof(tag) for tag in tags)
        if size <= self._size:
            self._put(spot, _Held(stored, reading.began + lives, size, targets))

    def forget(self, target: Target) -> None:
        """Have it asked of the database again, here and in every handle of this event loop."""
        for memory in self._beside:
            memory._generations[target.store] += 1
            for spot in list(memory._spots.get(target, ())):
                memory._drop(spot)

    def forget_entry(self, store: str, place: Place) -> None:
        """As :meth:`forget`, one entry: its target takes longer to name than to find it here."""
        for memory in self._beside:
            memory._generations[store] += 1
            if (store, place) in memory._held:
                memory._drop((store, place))

    def clear(self) -> None:
        """Forget everything."""
        for store in self._generations:
            self._generations[store] += 1
        self._held.clear()
        self._spots.clear()
        self.bytes = 0

    def _is_first_reading(self, spot: int) -> bool:
        """By its hash, in a set that begins anew when it is full: a mistake costs little."""
        if spot in self._read_once:
            return False
        if len(self._read_once) >= self._entries:
            self._read_once.clear()
        self._read_once.add(spot)
        return True

    def _put(self, spot: Spot, held: _Held) -> None:
        if spot in self._held:
            self._drop(spot)
        self._held[spot] = held
        self.bytes += held.size
        for target in held.targets:
            self._spots.setdefault(target, set()).add(spot)
        while len(self._held) > self._entries or self.bytes > self._size:
            self._drop(next(iter(self._held)))

    def _drop(self, spot: Spot) -> None:
        held = self._held.pop(spot)
        self.bytes -= held.size
        for target in held.targets:
            spots = self._spots[target]
            spots.discard(spot)
            if not spots:
                del self._spots[target]
