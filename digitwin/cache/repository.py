"""What need not be computed twice: embeddings, searches, responses."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID

from digitwin.cache import fields, invalidation
from digitwin.cache.cache_table import BATCH, Shelf
from digitwin.cache.codecs import JsonCodec, VectorCodec
from digitwin.cache.embeddings import EmbeddingStore
from digitwin.cache.listener import Connect, Listener
from digitwin.cache.local_cache import Memory
from digitwin.cache.locks import Locks
from digitwin.cache.statistics import Counts, StoreStatistics
from digitwin.cache.store import Store
from digitwin.kernel.connection.transactions import Transaction
from digitwin.kernel.execution.core import Core, operation
from digitwin.kernel.repository.base import Repository
from digitwin.kernel.sql.queries import load

_SQL = load(__package__)


class CacheRepository(Repository):
    """Three stores, each with what :class:`~digitwin.cache.store.Store` promises.

    ``embeddings`` takes lists of numbers (NumPy arrays too) of up to 65,536 dimensions, keeps
    them as float32 for an hour and gives lists of float, or arrays with ``as_numpy``;
    ``searches`` keeps any JSON value for half an hour; ``responses`` a string or any JSON value
    for an hour, and counts how often each was used. A JSON value has at most 1 MiB.

    Before the database stands a memory of what this process has read more than once, bounded by
    ``cache_memory_entries`` and ``cache_memory_bytes``. It hears of changes over a connection of
    its own, opened when there is something to remember. What one handle of a process sets,
    deletes or invalidates, no handle of its event loop gives out after; other processes hear of
    it with the commit, some milliseconds later, and give out what they remember for 5 seconds
    more at the longest, should the network fail them just then. Behind a pooler that passes no
    notifications, the memory stays off. What others change by SQL alone, it does not hear of.
    """

    def __init__(self, core: Core, connect: Connect) -> None:
        super().__init__(core)
        settings = core.settings
        memory = Memory(settings.cache_memory_entries, settings.cache_memory_bytes)
        self._memory = memory
        self._listener = Listener(core, connect, memory)
        memory.wanted = self._listener.start
        self._shelves = {
            "embeddings": Shelf(core, memory, "embeddings", "embedding_cache"),
            "searches": Shelf(core, memory, "searches", "vector_search_cache"),
            "responses": Shelf(core, memory, "responses", "llm_response_cache", counts_hits=True),
        }
        self._counts = Counts(core)
        self._locks = Locks(connect)
        shared = self._counts, self._locks
        shelves, json = self._shelves, JsonCodec()
        self.embeddings = EmbeddingStore(
            core, shelves["embeddings"], VectorCodec(), *shared, ttl=3600
        )
        self.searches = Store[Any, Any](core, shelves["searches"], json, *shared, ttl=1800)
        self.responses = Store[Any, Any](core, shelves["responses"], json, *shared, ttl=3600)

    @operation
    async def purge_expired(self) -> Mapping[str, int]:
        """Clear away what nobody can have any more; how many rows, by store.

        Runs in short statements that nobody has to wait for; several instances may run it at
        once.
        """
        removed = {name: await shelf.purge() for name, shelf in self._shelves.items()}
        while (
            await self._core.aside.fetchval(_SQL["purge_marks"], invalidation.KEPT, BATCH) == BATCH
        ):
            pass
        return removed

    @operation
    async def make_room(self) -> Mapping[str, int]:
        """Keep each store to ``cache_max_rows`` and ``cache_max_bytes``; how many entries had to
        go, by store.

        The oldest go first, those whose time is over too while they were not cleared away. It
        happens by itself when a handle has written a tenth of a bound, and with ``maintain()``;
        until then a store may hold so much more for each handle.
        """
        return {name: await shelf.make_room() for name, shelf in self._shelves.items()}

    @operation
    async def statistics(self) -> Mapping[str, StoreStatistics]:
        """How each store is used and what it holds, by its name; reads whole tables.

        Hits and misses are all there ever were. This handle's are complete; those of others
        arrive within their ``flush_interval``.
        """
        await self._counts.flush()
        rows = await self._core.aside.fetch(_SQL["usage"])
        used = {row["store"]: (row["hits"], row["misses"]) for row in rows}
        return {
            name: StoreStatistics.of(*used.get(name, (0, 0)), await shelf.sizes())
            for name, shelf in self._shelves.items()
        }

    async def forget_user(self, user_id: UUID) -> None:
        """Drop every entry of a person when the open transaction commits, or not at all.

        It happens as the transaction's last act, so that nobody waits for its locks longer than
        a commit takes; without a transaction it happens now.
        """
        for store in self._shelves:
            await self._core.at_commit(self._forget, (store, fields.owner(user_id)))

    async def forget_searches(self, user_id: UUID) -> None:
        """Drop a person's cached searches, as :meth:`forget_user` does."""
        await self._core.at_commit(self._forget, ("searches", fields.owner(user_id)))

    async def close(self) -> None:
        """Write what is still counted in memory; the handle calls this as it closes."""
        await self._listener.stop()
        for store in (self.embeddings, self.searches, self.responses):
            await store.close()
        for shelf in self._shelves.values():
            await shelf.close()
        await self._locks.close()
        await self._counts.close()

    async def _forget(self, entries: frozenset[tuple[str, UUID]]) -> None:
        """Forget people in stores, here too once the transaction has ended."""
        targets = [invalidation.person(*entry) for entry in entries]
        await invalidation.forget(self._core.db, targets)
        for store, user_id in entries:
            await self._shelves[store].sweep_within(self._core.db, user_id)
        frame = Transaction.of(self._core.pool)
        assert frame is not None
        for target in targets:
            frame.at_end(partial(self._memory.forget, target))
