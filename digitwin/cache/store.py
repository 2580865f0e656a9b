"""One kind of value, kept for a while: what all stores of the cache can do."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from digitwin.cache import fields, marks
from digitwin.cache.codecs import Codec
from digitwin.cache.counting import Counts, StoreStatistics
from digitwin.cache.fields import Audience, Place
from digitwin.cache.flights import Flights
from digitwin.cache.marks import Target
from digitwin.errors import ConnectionFailedError
from digitwin.kernel.core import Core, operation
from digitwin.kernel.executor import Executor
from digitwin.kernel.sql import load
from digitwin.kernel.transactions import outside

In = TypeVar("In")
Out = TypeVar("Out")

BATCH: Final = 1000
"""Rows removed by one statement: some 10 ms, after which every lock is free again."""

_logger = logging.getLogger(__name__)
_SQL = load(__package__)


@dataclass(frozen=True, slots=True)
class Kind(Generic[In, Out]):
    """What makes one store different from another."""

    name: str
    table: str
    ttl: float
    """Seconds an entry lives when nothing else is said."""
    codec: Codec[In, Out]
    counts_hits: bool = False
    """Whether each entry knows how often it was used."""

    def statement(self, name: str, **parts: str) -> str:
        no_hits = ", hit_count = 0" if self.counts_hits else ""
        parts["or_replace"] = _SQL["or_replace"].format(no_hits=no_hits)
        return _SQL[name].format(table=self.table, **parts)


class Store(Generic[In, Out]):
    """Values by key; ``user_id`` and ``audience`` are part of the key and looked at first.

    What was set for one person is never given to another, nor an owner's to a visitor. An entry
    is invisible once its time is over, which counts from the write by the database clock.
    Every call commits by itself, within a transaction too. All raise ``InvalidInputError`` with
    the field that does not fit: a key has 1 to 512 characters, ``user_id`` is a UUID or its
    string (None is nobody in particular), ``audience`` is ``owner`` or ``visitor``.
    """

    def __init__(self, core: Core, kind: Kind[In, Out], counts: Counts) -> None:
        self._core = core
        self._kind = kind
        self._codec = kind.codec
        self._counts = counts
        self._flights: Flights[Any] = Flights()
        self._get, self._set = kind.statement("get"), kind.statement("set")
        self._look_up = kind.statement("look")
        self._set_unless_forgotten = kind.statement("set_unless_forgotten")

    @property
    def name(self) -> str:
        return self._kind.name

    @operation
    async def get(
        self, key: str, *, user_id: UUID | str | None = None, audience: Audience = "owner"
    ) -> Out | None:
        """The value, or None when there is none or its time is over."""
        place = fields.place(key, user_id, audience)
        stored = await self._core.aside.fetchval(self._get, *place)
        self._count(place, stored)
        return None if stored is None else self._codec.decode(stored)

    @operation
    async def get_many(
        self,
        keys: Iterable[str],
        *,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> dict[str, Out]:
        """The values that are there, by key, in the order asked for; one statement.

        Args:
            keys: at most 1,000.
        """
        wanted = fields.distinct_keys(keys)
        owner, seen_by = fields.owner(user_id), fields.seen_by(audience)
        rows = await self._core.aside.fetch(
            self._kind.statement("get_many"), owner, seen_by, wanted
        )
        found = dict(map(tuple, rows))
        for key in wanted:
            self._count(Place(owner, seen_by, key), found.get(key))
        return {key: self._codec.decode(found[key]) for key in wanted if key in found}

    @operation
    async def set(
        self,
        key: str,
        value: In,
        *,
        ttl: float | timedelta | None = None,
        tags: Iterable[str] = (),
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> None:
        """Store a value, in place of what was there; the last one to set it wins.

        It is stored whenever it comes: for a value made from what may change meanwhile, use
        :meth:`get_or_create`, which knows what was invalidated since.

        Args:
            ttl: seconds it lives, 1 ms to 366 days; None means the store's default.
            tags: at most 32, of at most 200 characters, by which it can be invalidated.

        Raises:
            InvalidInputError: the value cannot be stored or is too large; the bound is named.
            OutcomeUnknownError: the answer was lost; set it again.
        """
        row = self._row(fields.place(key, user_id, audience), value, ttl, tags)
        await self._core.aside.execute(self._set, *row)

    @operation
    async def get_or_create(
        self,
        key: str,
        factory: Callable[[], Awaitable[In]],
        *,
        ttl: float | timedelta | None = None,
        tags: Iterable[str] = (),
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> Out:
        """The value; when there is none, what ``factory`` makes, stored for the next one.

        In one handle a factory runs once for a key, however many tasks ask; they share its value
        or its error, and when its task is cancelled another's factory runs. It runs outside any
        transaction, and no connection is held for it. What it makes is given back, but not
        stored, when the entry was invalidated or deleted since it began, when it took more than
        an hour, or when the database failed meanwhile, which the log then says. ``None`` is a
        value like any other where the store takes it.

        Args:
            factory: an async callable without arguments.
            ttl, tags: as for :meth:`set`.

        Raises:
            InvalidInputError: also when what the factory made cannot be stored.
            Exception: whatever the factory raises.
        """
        place = fields.place(key, user_id, audience)
        terms = fields.lifetime(ttl, self._kind.ttl), fields.distinct_tags(tags)
        stored, epochs = await self._look(place, terms[1])
        self._count(place, stored)
        if stored is None:
            stored = await self._flights.share(
                (place, *epochs), lambda: self._make(place, factory, *terms)
            )
        return self._codec.decode(stored)

    @operation
    async def delete(
        self, key: str, *, user_id: UUID | str | None = None, audience: Audience = "owner"
    ) -> bool:
        """Drop one entry; whether it was there. What is being made for it is not stored."""
        place = fields.place(key, user_id, audience)
        async with self._core.aside.transaction() as on:
            await marks.forget(on, [marks.entry(self.name, place)])
            return bool(await on.fetchval(self._kind.statement("delete"), *place))

    @operation
    async def invalidate(self, *, tag: str | None = None, user_id: UUID | str | None = None) -> int:
        """Drop entries, of both audiences, and how many there were.

        Those with the tag, those of the person, or those which have both; without either, the
        whole store. When it returns, nothing that was stored or begun before is to be had.
        """
        target, condition, values = self._chosen(tag, user_id)
        async with self._core.aside.transaction() as on:
            await marks.forget(on, [target])
        return await self._in_batches("sweep", *values, condition=condition)

    async def purge_expired(self) -> int:
        return await self._in_batches("purge_batch")

    async def forget(self, on: Executor, user_id: UUID) -> None:
        """Drop a person's entries within the caller's transaction, after ``marks.forget``."""
        sweep = self._kind.statement("sweep", condition="user_id = $2")
        await on.fetchval(sweep, None, user_id)

    async def statistics(self, hits: int, misses: int) -> StoreStatistics:
        row = await self._core.aside.fetchrow(self._kind.statement("sizes"))
        assert row is not None
        rate = hits / (hits + misses) if hits + misses else 0.0
        return StoreStatistics(hits, misses, rate, **row)

    async def _make(
        self,
        place: Place,
        factory: Callable[[], Awaitable[In]],
        ttl: float,
        tags: list[str],
    ) -> Any:
        """The stored form of a new value, unless somebody has stored one just now."""
        present, epochs = await self._look(place, tags)
        if present is not None:
            return present
        began = time.monotonic()
        with outside():
            value = await factory()
        row = self._row(place, value, ttl, tags)
        if time.monotonic() - began <= marks.LONGEST_FACTORY:
            await self._keep(row, self._targets(place, tags), epochs)
        return row[3]

    async def _keep(self, row: tuple[Any, ...], targets: list[Target], epochs: list[int]) -> None:
        kinds, names = [target.kind for target in targets], [target.name for target in targets]
        try:
            async with self._core.aside.transaction() as on:
                await marks.begin_storing(on, targets)
                await on.execute(self._set_unless_forgotten, *row, self.name, kinds, names, epochs)
        except ConnectionFailedError as error:
            _logger.warning("cache: a value made for %s was not stored: %s", self.name, error)

    async def _look(self, place: Place, tags: list[str]) -> tuple[Any, list[int]]:
        targets = self._targets(place, tags)
        row = await self._core.aside.fetchrow(
            self._look_up,
            *place,
            self.name,
            [target.kind for target in targets],
            [target.name for target in targets],
        )
        assert row is not None
        return row["value"], row["epochs"]

    def _targets(self, place: Place, tags: list[str]) -> list[Target]:
        return marks.covering(self.name, place, tags)

    def _row(
        self, place: Place, value: In, ttl: float | timedelta | None, tags: Iterable[str]
    ) -> tuple[Any, ...]:
        lives, tagged = fields.lifetime(ttl, self._kind.ttl), fields.distinct_tags(tags)
        stored, size = self._codec.encode(value)
        return *place, stored, tagged, size, lives

    def _chosen(self, tag: object, user_id: object) -> tuple[Target, str, list[Any]]:
        """What to mark, and how its rows are found."""
        target, conditions, values = marks.everything(self.name), ["true"], list[Any]()
        if user_id is not None:
            values.append(fields.owner(user_id))
            target = marks.person(self.name, values[-1])
            conditions.append(f"user_id = ${len(values) + 1}")
        if tag is not None:
            values.append([fields.tag(tag)])
            target = marks.tagged(self.name, values[-1][0])
            conditions.append(f"tags @> ${len(values) + 1}::text[]")
        return target, " AND ".join(conditions), values

    async def _in_batches(self, statement: str, *values: Any, **parts: str) -> int:
        sql, removed = self._kind.statement(statement, **parts), 0
        while True:
            batch: int = await self._core.aside.fetchval(sql, BATCH, *values, write=True)
            removed += batch
            if batch < BATCH:
                return removed

    def _count(self, place: Place, stored: object) -> None:
        if stored is None:
            self._counts.misses(self.name)
            return
        self._counts.hits(self.name)
        if self._kind.counts_hits:
            self._counts.hit_of(place)
