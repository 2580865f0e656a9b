"""The cache: stores of embeddings, searches and responses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from digitwin.cache import fields, invalidation
from digitwin.cache.cache_table import BATCH, CacheTable
from digitwin.cache.codecs import JsonCodec, VectorCodec
from digitwin.cache.embeddings import EmbeddingStore
from digitwin.cache.invalidation import Forgotten
from digitwin.cache.listener import Listener
from digitwin.cache.local_cache import LocalCache
from digitwin.cache.locks import AdvisoryLocks, Connect
from digitwin.cache.statistics import HitCounters, StoreStatistics
from digitwin.cache.store import Store
from digitwin.kernel.connection.transactions import Transaction
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.repository.base import Repository
from digitwin.kernel.sql.queries import Queries

QUERIES = Queries(__package__)


class CacheRepository(Repository):
    """Three stores, each a :class:`~digitwin.cache.store.Store`.

    ``embeddings`` takes lists of numbers (or NumPy arrays) of up to 65,536 dimensions, keeps
    them as float32 for an hour and returns lists of float, or arrays with ``as_numpy``;
    ``searches`` keeps any JSON value for half an hour; ``responses`` keeps a string or any JSON
    value for an hour and counts its hits. A JSON value has at most 1 MiB.

    In front of the tables, a local cache holds what this process has read more than once, up to
    ``cache_memory_entries`` and ``cache_memory_bytes``. It receives changes over a connection of
    its own, opened when there is a first value to hold. After one handle sets, deletes or
    invalidates a value, no handle of its event loop returns the old one. Other processes are
    notified with the commit, some milliseconds later; if the network fails at that moment, they
    return old values for at most 5 more seconds. Behind a pooler that passes no notifications
    the local cache stays off. Changes made by plain SQL are not noticed.
    """

    def __init__(self, core: Core, connect: Connect) -> None:
        super().__init__(core)
        settings = core.settings
        local = LocalCache(settings.cache_memory_entries, settings.cache_memory_bytes)
        self._local = local
        self._listener = Listener(core, connect, local)
        local.start_listener = self._listener.start
        self._tables = {
            "embeddings": CacheTable(
                core, local, "embeddings", "embedding_cache", value_type="bytea"
            ),
            "searches": CacheTable(core, local, "searches", "vector_search_cache"),
            "responses": CacheTable(
                core, local, "responses", "llm_response_cache", counts_hits=True
            ),
        }
        self._counts = HitCounters(core)
        self._locks = AdvisoryLocks(connect)
        shared = self._counts, self._locks
        tables, json = self._tables, JsonCodec()
        self.embeddings = EmbeddingStore(
            core, tables["embeddings"], VectorCodec(), *shared, ttl=3600
        )
        self.searches = Store[Any, Any](core, tables["searches"], json, *shared, ttl=1800)
        self.responses = Store[Any, Any](core, tables["responses"], json, *shared, ttl=3600)

    @operation
    async def purge_expired(self) -> Mapping[str, int]:
        """Delete expired entries; return how many, by store.

        Runs in short statements that skip locked rows. Safe to run concurrently.
        """
        removed = {name: await table.purge() for name, table in self._tables.items()}
        marks = {"kept": invalidation.RETENTION, "batch": BATCH}
        while await self._core.aside.fetchval(QUERIES["purge_invalidations"], **marks) == BATCH:
            pass
        return removed

    @operation
    async def make_room(self) -> Mapping[str, int]:
        """Evict entries beyond ``cache_max_rows`` and ``cache_max_bytes``; return counts by store.

        The oldest go first; expired entries count until they are purged. A handle also does this
        by itself after writing a tenth of a bound, and in ``maintain()``. Until then a store may
        exceed its bound by that tenth for each handle.
        """
        return {name: await table.make_room() for name, table in self._tables.items()}

    @operation
    async def statistics(self) -> Mapping[str, StoreStatistics]:
        """Return each store's use and contents, by its name; reads whole tables.

        Hits and misses count from the first lookup on. This handle's are complete; those of
        others arrive within their ``flush_interval``.
        """
        await self._counts.flush()
        rows = await self._core.aside.fetch(QUERIES["usage"])
        used = {row["store"]: (row["hits"], row["misses"]) for row in rows}
        return {
            name: StoreStatistics.of(*used.get(name, (0, 0)), await table.sizes())
            for name, table in self._tables.items()
        }

    async def forget_user(self, user_id: UUID) -> None:
        """Delete every entry of a person when the open transaction commits.

        It runs as the transaction's last statements, so that its locks are held no longer than
        a commit takes. Without an open transaction it runs now, in one of its own.
        """
        await self._forget_at_commit(*(Forgotten(s, fields.owner(user_id)) for s in self._tables))

    async def forget_searches(self, user_id: UUID) -> None:
        """Delete a person's cached searches, as :meth:`forget_user` does."""
        await self._forget_at_commit(Forgotten("searches", fields.owner(user_id)))

    async def forget_tags(self, tags: Iterable[str]) -> None:
        """Delete everybody's entries with any of these tags, as :meth:`forget_user` does."""
        valid = tuple(map(fields.tag, tags))
        await self._forget_at_commit(*(Forgotten(s, tags=valid) for s in self._tables))

    async def close(self) -> None:
        """Stop the background work and write pending counts; the handle calls this as it closes."""
        await self._listener.stop()
        for store in (self.embeddings, self.searches, self.responses):
            await store.close()
        for table in self._tables.values():
            await table.close()
        await self._locks.close()
        await self._counts.close()

    async def _forget_at_commit(self, *entries: Forgotten) -> None:
        for entry in entries:
            await self._core.at_commit(self._forget, entry)

    async def _forget(self, entries: frozenset[Forgotten]) -> None:
        """Invalidate and delete entries; local caches follow when the transaction ends."""
        targets = [target for entry in entries for target in entry.targets]
        await invalidation.record(self._core.db, targets)
        for table in self._tables.values():
            await table.forget(self._core.db, entries)
        frame = Transaction.of(self._core.pool)
        assert frame is not None
        for target in targets:
            frame.at_end(partial(self._local.invalidate, target))
