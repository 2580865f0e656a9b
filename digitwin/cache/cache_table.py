"""One table of the cache: its rows as stored, and every statement that touches them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID

from digitwin.cache import invalidation
from digitwin.cache.eviction import Evictor
from digitwin.cache.fields import EntryKey
from digitwin.cache.invalidation import Forgotten, InvalidationTarget
from digitwin.cache.local_cache import LocalCache
from digitwin.cache.many_rows import ManyRows
from digitwin.cache.rows import CacheRow, Found, Lookup
from digitwin.kernel.execution.batching import Batcher
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.kernel.sql.queries import Queries, Query, load

BATCH: Final = 1000
"""Rows removed by one statement: it takes some 10 ms, then releases its locks."""

READS_AT_ONCE: Final = 2
"""Reads under way, beyond which entries are read together. With 32 callers two make 1.8 times as
many reads as one statement for each; one makes 2.6 times as many, but has a second caller wait."""
READ_TOGETHER: Final = 64
"""Entries read by one statement at most."""

_UNBOUNDED: Final = 2**62
_OF_PERSON: Final = "user_id = :user_id"
_OF_PEOPLE: Final = "user_id = ANY(:people::uuid[])"
_TAGGED: Final = "tags @> :tags::text[]"
_TAGGED_ANY: Final = "tags && :tags::text[]"


class CacheTable:
    """A store's table, with the local cache in front of it.

    Args:
        name: the store's name, part of its invalidation targets.
        value_type: the type of its values in SQL.
        counts_hits: whether each row counts its hits.
    """

    def __init__(
        self,
        core: Core,
        local: LocalCache,
        name: str,
        table: str,
        *,
        value_type: str = "json",
        counts_hits: bool = False,
    ) -> None:
        self._core = core
        self._local = local
        self._schema = core.settings.schema
        rows, size = core.settings.cache_max_rows, core.settings.cache_max_bytes
        evict = partial(self.evict, rows or _UNBOUNDED, size or _UNBOUNDED)
        self._evictor = Evictor(core, evict, rows, size)
        self.name = name
        self.counts_hits = counts_hits
        self._queries = Queries(
            __package__,
            table=table,
            store=name,
            value_type=value_type,
            no_hits=", hit_count = 0" if counts_hits else "",
        )
        self.many = ManyRows(core, local, name, self._queries, self._evictor.count_write)
        # Kept at hand: a lookup by name is measurable beside a read of 80 us
        self._one = self._queries["read" if local.on else "get"]
        self._each = self._queries["read_each"]
        self._reads = Batcher[EntryKey, Found](
            self._read_one, self._read_each, at_once=READS_AT_ONCE, most=READ_TOGETHER
        )
        self._set, self._set_of_person = self._queries["set"], self._queries["set_of_person"]

    async def get(self, entry_key: EntryKey) -> Any:
        """Return a stored value, or None."""
        if not self._local.on:
            found = await self._reads.ask(entry_key)
            return found[0] if found else None
        stored = self._local.get(self.name, entry_key)
        if stored is None:
            read = self._local.begin_read(self.name)
            found = await self._reads.ask(entry_key)
            if found:
                stored = found[0]
                self._local.remember(read, entry_key, *found)
        return stored

    async def _read_one(self, entry_key: EntryKey) -> Found:
        user_id, audience, key = entry_key
        row = await self._core.aside.fetchrow(
            self._one, user_id=user_id, audience=audience, key=key
        )
        return () if row is None else tuple(row)

    async def _read_each(self, entry_keys: Sequence[EntryKey]) -> list[Found]:
        user_ids, audiences, keys = zip(*entry_keys, strict=True)
        rows = await self._core.aside.fetch(
            self._each, user_ids=user_ids, audiences=audiences, keys=keys
        )
        found: list[Found] = [()] * len(entry_keys)
        for place, *row in rows:
            found[place - 1] = tuple(row)
        return found

    async def put(self, row: CacheRow) -> None:
        """Store an entry, replacing the current one."""
        user_id, audience, key, stored, tags, size, ttl, _ = row
        query, lock = self._set, None
        if user_id != NOBODY:
            query = self._set_of_person
            lock = invalidation.person_target(self.name, user_id).lock
        try:
            # Named one by one: unpacking a dict costs 2 us of each call
            await self._core.aside.execute(
                query,
                user_id=user_id,
                audience=audience,
                key=key,
                stored=stored,
                tags=tags,
                size=size,
                ttl=ttl,
                lock=lock,
            )
        finally:
            self._local.invalidate_entry(self.name, row.entry_key)
        self._evictor.count_write(size)

    def get_local(self, entry_key: EntryKey) -> Any:
        """Return the local cache's value, which is as current as the table's, or None."""
        return self._local.get(self.name, entry_key)

    def lock_number(self, entry_key: EntryKey, epochs: Iterable[int]) -> int:
        """Return the advisory lock under which a value is loaded in this schema.

        The epochs are part of it: a load that began before an invalidation blocks none after it.
        """
        target, since = invalidation.entry_target(self.name, entry_key), " ".join(map(str, epochs))
        return invalidation.lock_number(f"digitwin.cache {self._schema} {target.lock} {since}")

    async def lookup(self, entry_key: EntryKey, tags: Iterable[str], stale: float = 0.0) -> Lookup:
        """Return a value and the epochs that a later :meth:`put_if_current` compares.

        Args:
            stale: seconds for which the value may have expired.
        """
        targets = invalidation.targets_of(self.name, entry_key, tags)
        read = self._local.begin_read(self.name)
        row = await self._core.aside.fetchrow(
            self._queries["lookup"],
            user_id=entry_key.user_id,
            audience=entry_key.audience,
            key=entry_key.key,
            store=self.name,
            kinds=[target.kind for target in targets],
            names=[target.name for target in targets],
            stale=stale,
        )
        assert row is not None
        stored, labels, lives, epochs = row
        if stored is None:
            return Lookup(None, epochs)
        if lives > 0:
            self._local.remember(read, entry_key, stored, labels, lives)
        return Lookup(stored, epochs, stale=lives <= 0)

    async def put_if_current(self, row: CacheRow, epochs: list[int]) -> None:
        """Store an entry unless it was invalidated since the lookup that returned ``epochs``."""
        targets = invalidation.targets_of(self.name, row.entry_key, row.tags)
        try:
            async with self._core.aside.transaction() as on:
                await invalidation.lock_shared(on, targets)
                await on.execute(
                    self._queries["set_unless_invalidated"],
                    **row._asdict(),
                    store=self.name,
                    kinds=[target.kind for target in targets],
                    names=[target.name for target in targets],
                    epochs=epochs,
                )
        finally:
            self._local.invalidate_entry(self.name, row.entry_key)
        self._evictor.count_write(row.size)

    async def delete(self, entry_key: EntryKey) -> bool:
        """Delete and invalidate one entry; return whether it existed."""
        target = invalidation.entry_target(self.name, entry_key)
        try:
            async with self._core.aside.transaction() as on:
                await invalidation.record(on, [target])
                query = self._queries["delete"]
                return bool(await on.fetchval(query, **entry_key._asdict(), name=target.name))
        finally:
            self._local.invalidate(target)

    async def invalidate(self, *, tag: str | None, user_id: UUID | None) -> int:
        """Invalidate the entries that match every argument given; return how many existed.

        The invalidation is committed first and the rows are deleted in batches after it, so
        that no lock is held for the length of the sweep.
        """
        target, condition = self._target(tag, user_id)
        try:
            async with self._core.aside.transaction() as on:
                await invalidation.record(on, [target])
            sweep = self._queries.variant("sweep", condition=condition, notify_if="true")
            return await self._in_batches(
                sweep, kind=target.kind, name=target.name, user_id=user_id, tags=[tag]
            )
        finally:
            self._local.invalidate(target)

    async def forget(self, on: Statements, entries: Iterable[Forgotten]) -> None:
        """Delete rows inside the transaction that records their invalidation.

        In one statement: rows that several callers delete are locked in one order. Without rows
        there is no notification: commits that notify wait for each other.
        """
        chosen = [entry for entry in entries if entry.store == self.name]
        if chosen:
            targets = [target for entry in chosen for target in entry.targets]
            people = [entry.user_id for entry in chosen if entry.user_id is not None]
            tags = [tag for entry in chosen for tag in entry.tags]
            terms = [_OF_PEOPLE] * bool(people) + [_TAGGED_ANY] * bool(tags)
            await on.execute(
                self._queries.variant("forget", condition=" OR ".join(terms)),
                people=people,
                tags=tags,
                kinds=[target.kind for target in targets],
                names=[target.name for target in targets],
            )

    async def make_room(self) -> int:
        """Evict entries beyond the store's bounds now; return how many."""
        return await self._evictor.evict()

    async def close(self) -> None:
        """Stop evicting in the background."""
        await self._evictor.close()

    async def purge(self) -> int:
        """Delete expired rows, and those written while the clock was ahead; return how many."""
        expired = await self._in_batches(self._queries["purge_batch"])
        return expired + await self._in_batches(self._evict_which("of_the_future"))

    async def evict(self, rows: int, size: int) -> int:
        """Delete the oldest entries until the rest keeps to both bounds; return how many."""
        beyond: Any = await self._core.aside.fetchrow(
            self._queries["beyond"], rows=rows, bytes=size
        )
        query, left = self._evict_which("older"), beyond["rows"]
        while left:
            batch = min(left, BATCH)
            gone = await self._core.aside.fetchval(query, batch=batch, until=beyond["until"])
            left -= gone
            if gone < batch:
                break  # the rest is locked: another instance is evicting it
        return int(beyond["rows"] - left)

    def _evict_which(self, entries: str) -> Query:
        return self._queries.variant("evict_batch", which=load(__package__)[entries])

    async def sizes(self) -> Mapping[str, int]:
        """Return the numbers of ``live`` and ``expired`` rows, and their ``bytes``."""
        row: Any = await self._core.aside.fetchrow(self._queries["sizes"])
        return dict(row)

    def _target(self, tag: str | None, user_id: UUID | None) -> tuple[InvalidationTarget, str]:
        """Return what to invalidate, and the condition that finds its rows.

        One person's entries with a tag are invalidated by the tag alone. Loads of other people's
        entries with that tag are then not stored either, which costs one factory call each.
        """
        if tag is not None:
            condition = _TAGGED if user_id is None else f"{_OF_PERSON} AND {_TAGGED}"
            return invalidation.tag_target(self.name, tag), condition
        if user_id is not None:
            return invalidation.person_target(self.name, user_id), _OF_PERSON
        return invalidation.store_target(self.name), "true"

    async def _in_batches(self, query: Query, **values: Any) -> int:
        removed, batch = 0, BATCH
        while batch == BATCH:
            batch = await self._core.aside.fetchval(query, batch=BATCH, **values)
            removed += batch
        return removed
