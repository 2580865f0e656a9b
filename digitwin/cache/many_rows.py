"""The statements about many keys of one person and audience."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

from digitwin.cache import invalidation
from digitwin.cache.fields import EntryKey
from digitwin.cache.local_cache import LocalCache
from digitwin.cache.rows import CacheRow
from digitwin.kernel.execution.core import Core
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.kernel.repository.paging import Page
from digitwin.kernel.sql.queries import Queries

EXAMINED: Final = 10_000
"""Entries of which one statement looks for a page of keys: 3 ms if none is found."""


class ManyRows:
    """Reads, writes, deletes and lists many of a table's rows, with its local cache in front.

    Args:
        name: the store's name, part of its invalidation targets.
        count_write: counts an entry of that size for eviction.
    """

    def __init__(
        self,
        core: Core,
        local: LocalCache,
        name: str,
        queries: Queries,
        count_write: Callable[[int], None],
    ) -> None:
        self._core = core
        self._local = local
        self._name = name
        self._queries = queries
        self._count_write = count_write

    async def get(self, user_id: UUID, audience: str, keys: list[str]) -> dict[str, Any]:
        """Return the stored values that exist, by key."""
        entry_keys = [EntryKey(user_id, audience, key) for key in keys]
        found = {each.key: self._local.get(self._name, each) for each in entry_keys}
        missing = [key for key, stored in found.items() if stored is None]
        if missing:
            found |= await self._read(user_id, audience, missing)
        return {key: stored for key, stored in found.items() if stored is not None}

    async def _read(self, user_id: UUID, audience: str, keys: list[str]) -> dict[str, Any]:
        read = self._local.begin_read(self._name)
        rows = await self._core.aside.fetch(
            self._queries["get_many"], user_id=user_id, audience=audience, keys=keys
        )
        for key, *found in rows:
            self._local.remember(read, EntryKey(user_id, audience, key), *found)
        return {row["key"]: row["value"] for row in rows}

    async def put(self, rows: Sequence[CacheRow]) -> None:
        """Store entries of one person, audience and list of tags, all or none of them.

        Args:
            rows: at least one; no key twice.
        """
        user_id, audience, tags = rows[0].user_id, rows[0].audience, rows[0].tags
        lock = None
        if user_id != NOBODY:
            lock = invalidation.person_target(self._name, user_id).lock
        try:
            await self._core.aside.execute(
                self._queries["set_many"],
                user_id=user_id,
                audience=audience,
                tags=tags,
                lock=lock,
                keys=[row.key for row in rows],
                stored=[row.stored for row in rows],
                sizes=[row.size for row in rows],
                ttls=[row.ttl for row in rows],
            )
        finally:
            for row in rows:
                self._local.invalidate_entry(self._name, row.entry_key)
        for row in rows:
            self._count_write(row.size)

    async def delete(self, user_id: UUID, audience: str, keys: list[str]) -> int:
        """Delete and invalidate entries; return how many existed."""
        entry_keys = [EntryKey(user_id, audience, key) for key in keys]
        targets = [invalidation.entry_target(self._name, each) for each in entry_keys]
        try:
            async with self._core.aside.transaction() as on:
                await invalidation.record(on, targets)
                rows = await on.fetch(
                    self._queries["delete_many"],
                    user_id=user_id,
                    audience=audience,
                    keys=keys,
                    names=[target.name for target in targets],
                )
        finally:
            for target in targets:
                self._local.invalidate(target)
        return int(rows[0]["lived"])

    async def keys(
        self, user_id: UUID, audience: str, prefix: str, limit: int, after: str
    ) -> Page[str]:
        """Return a page of the living keys that begin with a prefix.

        Fewer than ``limit`` are returned, with a cursor, once :data:`EXAMINED` entries were read.
        """
        rows = await self._core.aside.fetch(
            self._queries["keys"],
            user_id=user_id,
            audience=audience,
            prefix=prefix,
            after=after,
            most=EXAMINED,
            limit=limit + 1,
        )
        found = [row["key"] for row in rows if row["listed"]]
        rest = [row["key"] for row in rows if not row["listed"]]
        if len(found) < limit:
            return Page(found, rest[0] if rest else None)
        items = found[:limit]
        return Page(items, items[-1] if len(rows) > limit else None)
