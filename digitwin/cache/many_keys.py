"""The operations of a store that take many keys, or list them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from digitwin.cache import fields
from digitwin.cache.cache_table import CacheTable
from digitwin.cache.codecs import Codec
from digitwin.cache.fields import Audience, EntryKey
from digitwin.cache.rows import CacheRow
from digitwin.cache.statistics import HitCounters
from digitwin.errors import InvalidInputError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.repository.paging import Page

In = TypeVar("In")
Out = TypeVar("Out")


class ManyKeys(Generic[In, Out]):
    """A part of :class:`~digitwin.cache.store.Store`, which says what holds for all arguments."""

    def __init__(
        self,
        core: Core,
        table: CacheTable,
        codec: Codec[In, Out],
        counts: HitCounters,
        *,
        ttl: float,
    ) -> None:
        self._core = core
        self._table = table
        self._codec = codec
        self._counts = counts
        self._ttl = ttl
        self._chance: Callable[[], float] = random.random
        """The next entry's share of the jitter, 0 to 1."""

    @operation
    async def get_many(
        self,
        keys: Iterable[str],
        *,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> dict[str, Out]:
        """Return the values that exist, by key, in the order of ``keys``; one statement.

        Args:
            keys: at most 1,000.
        """
        found = await self._get_many(keys, user_id, audience)
        return {key: self._codec.decode(stored) for key, stored in found.items()}

    @operation
    async def set_many(
        self,
        values: Mapping[str, In],
        *,
        ttl: float | timedelta | None = None,
        tags: Iterable[str] = (),
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> None:
        """Store values by key, as ``set`` does each; one statement, all or none of them.

        Args:
            values: at most 1,000, of at most 16 MiB together as they are stored.
            ttl: as for ``set``; each entry has its own share of the jitter.
            tags: as for ``set``, of all entries.

        Raises:
            InvalidInputError: a value cannot be stored, or they are too large; names the bound.
            OutcomeUnknownError: the answer was lost; set them again.
        """
        owner, audience_name = fields.owner(user_id), fields.audience_name(audience)
        terms = fields.ttl_and_tags(ttl, tags, self._ttl)
        rows: list[CacheRow] = []
        size = 0
        for key, value in fields.values_by_key(values).items():
            rows.append(self._row_of_many(EntryKey(owner, audience_name, key), value, *terms))
            size += rows[-1].size
            if size > fields.MAX_TOGETHER:
                raise _too_large_together()
        if rows:
            await self._table.many.put(rows)

    @operation
    async def delete_many(
        self,
        keys: Iterable[str],
        *,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> int:
        """Delete entries, as ``delete`` does each, all or none; return how many existed.

        Args:
            keys: at most 1,000.
        """
        chosen = fields.distinct_keys(keys)
        owner, audience_name = fields.owner(user_id), fields.audience_name(audience)
        return await self._table.many.delete(owner, audience_name, chosen) if chosen else 0

    @operation
    async def keys(
        self,
        prefix: str = "",
        *,
        limit: int = 100,
        after: str | None = None,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> Page[str]:
        """Return a page of the keys of living entries, in the database's order of texts.

        One statement, which examines at most 10,000 entries of the person and audience: where few
        have the prefix, a page is shorter than ``limit``, or empty, and has a cursor all the same.

        Args:
            prefix: with what the keys begin, at most 512 characters, compared as they are.
            limit: keys of a page at most, 1 to 1,000.
            after: the ``next_cursor`` of the page before, or any other key.

        Returns:
            The keys; ``next_cursor`` is None on the last page.
        """
        owner, audience_name = fields.owner(user_id), fields.audience_name(audience)
        bounds = fields.page_of_keys(prefix, limit, after)
        return await self._table.many.keys(owner, audience_name, *bounds)

    async def _get_many(
        self, keys: Iterable[str], user_id: UUID | str | None, audience: Audience
    ) -> dict[str, Any]:
        """Return the stored forms that exist, in the order of ``keys``."""
        wanted = fields.distinct_keys(keys)
        owner, audience_name = fields.owner(user_id), fields.audience_name(audience)
        found = await self._table.many.get(owner, audience_name, wanted)
        for key in wanted:
            self._count(EntryKey(owner, audience_name, key), found.get(key))
        return {key: found[key] for key in wanted if key in found}

    def _row(
        self, entry_key: EntryKey, value: In, ttl: float, tags: list[str], stale: float = 0.0
    ) -> CacheRow:
        stored, size = self._codec.encode(value)
        ttl *= 1 - self._core.settings.cache_ttl_jitter * self._chance()
        return CacheRow(*entry_key, stored, tags, size, max(ttl, fields.MIN_TTL), stale)

    def _row_of_many(self, entry_key: EntryKey, value: In, ttl: float, tags: list[str]) -> CacheRow:
        try:
            return self._row(entry_key, value, ttl, tags)
        except InvalidInputError as error:
            error.details["field"] = "values"
            raise

    def _count(self, entry_key: EntryKey, stored: object) -> None:
        if stored is None:
            self._counts.misses(self._table.name)
            return
        self._counts.hits(self._table.name)
        if self._table.counts_hits:
            self._counts.hit_of(entry_key)


def _too_large_together() -> InvalidInputError:
    return InvalidInputError(
        f"values must have at most {fields.MAX_TOGETHER:,} bytes together",
        field="values",
        limit=fields.MAX_TOGETHER,
    )
