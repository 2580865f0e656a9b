"""The first cache level: what this process has read lately, answered without the database.

Only reads fill it; a write invalidates. A read that began before an invalidation is not
remembered after it (:class:`PendingRead`), so that no old value slips in behind its own
invalidation. It answers only while it is trusted, which the
:class:`~digitwin.cache.listener.Listener` decides. It holds the stored form, from which every
caller decodes a value of its own.
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
from digitwin.cache.fields import EntryKey
from digitwin.cache.invalidation import InvalidationTarget

OVERHEAD: Final = 1500
"""Bytes an entry takes besides its value, measured with 10,000 of them."""
TAG_OVERHEAD: Final = 250
"""Bytes each of its tags takes besides its text."""

LocalKey: TypeAlias = tuple[str, EntryKey]
"""A store's name, and a key in it."""

_siblings: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakSet[LocalCache]] = WeakKeyDictionary()
"""The local caches of each event loop's handles: an invalidation reaches all of them."""


class _LocalEntry(NamedTuple):
    stored: Any
    until: float
    size: int
    targets: list[InvalidationTarget]


class PendingRead(NamedTuple):
    """When a read began: the time, and the store's generation, which invalidations raise."""

    store: str
    generation: int
    began: float


class LocalCache:
    """Stored values by key, evicted least recently used first.

    A value is kept from its second read on: one read alone is not worth its memory.

    Args:
        entries: held at most; 0 switches the level off.
        size: bytes held at most; 0 switches the level off.
    """

    def __init__(self, entries: int, size: int) -> None:
        loop = asyncio.get_running_loop()
        self._clock = loop.time
        self._max_entries = entries
        self._max_size = size
        self.start_listener: Callable[[], None] = lambda: None
        """Called when there is a value to remember and the cache is not trusted."""
        self._held: OrderedDict[LocalKey, _LocalEntry] = OrderedDict()
        self._keys_by_target: dict[InvalidationTarget, set[LocalKey]] = {}
        self._generations: defaultdict[str, int] = defaultdict(int)
        self._read_once: set[int] = set()
        self.on = bool(entries and size)
        self.bytes = 0
        self.trusted_until = -math.inf
        """Until then, by the event loop's clock, every invalidation is known to have arrived."""
        self._siblings = _siblings.setdefault(loop, WeakSet())
        if self.on:
            self._siblings.add(self)

    def __len__(self) -> int:
        return len(self._held)

    def get(self, store: str, entry_key: EntryKey) -> Any:
        """Return the stored value, or None."""
        now = self._clock()
        if now >= self.trusted_until:
            return None
        key = (store, entry_key)
        held = self._held.get(key)
        if held is None:
            return None
        if now >= held.until:
            self._drop(key)
            return None
        self._held.move_to_end(key)
        return held.stored

    def begin_read(self, store: str) -> PendingRead:
        """Note the beginning of a read; to be called before the database is asked."""
        return PendingRead(store, self._generations[store], self._clock())

    def remember(
        self, read: PendingRead, entry_key: EntryKey, stored: Any, tags: Sequence[str], lives: float
    ) -> None:
        """Keep what was read, unless the store had an invalidation since the read began.

        Args:
            lives: the remaining seconds to live that the database returned. They count from
                the beginning of the read, so that the value never lives longer here.
        """
        key = (read.store, entry_key)
        if not self.on or self._is_first_read(hash(key)):
            return
        if self._clock() >= self.trusted_until:
            self.start_listener()
            return
        if read.generation != self._generations[read.store]:
            return
        targets = invalidation.targets_of(read.store, entry_key, tags)
        size = OVERHEAD + sys.getsizeof(stored)
        size += sum(TAG_OVERHEAD + sys.getsizeof(tag) for tag in tags)
        if size <= self._max_size:
            self._put(key, _LocalEntry(stored, read.began + lives, size, targets))

    def invalidate(self, target: InvalidationTarget) -> None:
        """Drop what a target covers, in every handle of this event loop."""
        for local in self._siblings:
            local._generations[target.store] += 1
            for key in list(local._keys_by_target.get(target, ())):
                local._drop(key)

    def invalidate_entry(self, store: str, entry_key: EntryKey) -> None:
        """Drop one entry; faster than :meth:`invalidate`, as it needs no target's digest."""
        for local in self._siblings:
            local._generations[store] += 1
            if (store, entry_key) in local._held:
                local._drop((store, entry_key))

    def clear(self) -> None:
        """Drop everything."""
        for store in self._generations:
            self._generations[store] += 1
        self._held.clear()
        self._keys_by_target.clear()
        self.bytes = 0

    def _is_first_read(self, key_hash: int) -> bool:
        """Return whether a key is new; the set of hashes restarts when full, which costs little."""
        if key_hash in self._read_once:
            return False
        if len(self._read_once) >= self._max_entries:
            self._read_once.clear()
        self._read_once.add(key_hash)
        return True

    def _put(self, key: LocalKey, held: _LocalEntry) -> None:
        if key in self._held:
            self._drop(key)
        self._held[key] = held
        self.bytes += held.size
        for target in held.targets:
            self._keys_by_target.setdefault(target, set()).add(key)
        while len(self._held) > self._max_entries or self.bytes > self._max_size:
            self._drop(next(iter(self._held)))

    def _drop(self, key: LocalKey) -> None:
        held = self._held.pop(key)
        self.bytes -= held.size
        for target in held.targets:
            keys = self._keys_by_target[target]
            keys.discard(key)
            if not keys:
                del self._keys_by_target[target]
