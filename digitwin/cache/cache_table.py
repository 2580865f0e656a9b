"""One table of the cache: rows as they are stored, and every statement that touches them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, partial
from typing import Any, Final, NamedTuple
from uuid import UUID

from digitwin.cache import invalidation
from digitwin.cache.eviction import Bound
from digitwin.cache.fields import Place
from digitwin.cache.invalidation import Target
from digitwin.cache.local_cache import Memory
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.kernel.sql.queries import load

BATCH: Final = 1000
"""Rows removed by one statement: some 10 ms, after which every lock is free again."""

_SQL = load(__package__)


class Row(NamedTuple):
    """An entry on its way into the table."""

    user_id: UUID
    audience: str
    key: str
    stored: bytes | str
    tags: list[str]
    size: int
    """Bytes of ``stored``."""
    ttl: float
    """Seconds."""
    stale: float = 0.0
    """Seconds for which it may still be shown after that."""

    @property
    def place(self) -> Place:
        return Place(*self[:3])


_ANY: Final = 2**62
"""No bound."""
_STALE: Final = Row._fields.index("stale")


class Look(NamedTuple):
    """What is there, and what was forgotten before, as one moment shows it."""

    stored: Any
    epochs: list[int]
    stale: bool = False
    """Its time is over."""


class Shelf:
    """A store's table, and what of it is in memory.

    Args:
        name: the store's, under which its marks stand.
        counts_hits: whether each row says how often it was used.
    """

    def __init__(
        self, core: Core, memory: Memory, name: str, table: str, *, counts_hits: bool = False
    ) -> None:
        self._core = core
        self._memory = memory
        self._schema = core.settings.schema
        rows, size = core.settings.cache_max_rows, core.settings.cache_max_bytes
        self._bound = Bound(core, partial(self.evict, rows or _ANY, size or _ANY), rows, size)
        self.name = name
        self.counts_hits = counts_hits
        self._sql = partial(compiled, table, name, counts_hits=counts_hits)
        self._get = self._sql("get")
        self._read = self._sql("read")
        self._put = self._sql("set")
        self._put_of_person = self._sql("set_of_person")
        self._keep = self._sql("set_unless_forgotten")

    async def get(self, place: Place) -> Any:
        if not self._memory.on:
            return await self._core.aside.fetchval(self._get, *place)
        stored = self._memory.get(self.name, place)
        if stored is None:
            reading = self._memory.reading(self.name)
            row = await self._core.aside.fetchrow(self._read, *place)
            if row is not None:
                stored = row[0]
                self._memory.keep(reading, place, *row)
        return stored

    async def get_many(self, user_id: UUID, audience: str, keys: list[str]) -> dict[str, Any]:
        places = [Place(user_id, audience, key) for key in keys]
        found = {place.key: self._memory.get(self.name, place) for place in places}
        missing = [key for key, stored in found.items() if stored is None]
        if missing:
            found |= await self._get_many(user_id, audience, missing)
        return {key: stored for key, stored in found.items() if stored is not None}

    async def _get_many(self, user_id: UUID, audience: str, keys: list[str]) -> dict[str, Any]:
        reading = self._memory.reading(self.name)
        rows = await self._core.aside.fetch(self._sql("get_many"), user_id, audience, keys)
        for key, *read in rows:
            self._memory.keep(reading, Place(user_id, audience, key), *read)
        return {row["key"]: row["value"] for row in rows}

    async def put(self, row: Row) -> None:
        try:
            if row.user_id == NOBODY:
                await self._core.aside.execute(self._put, *row[:_STALE])
            else:
                lock = invalidation.person(self.name, row.user_id).lock
                await self._core.aside.execute(self._put_of_person, *row[:_STALE], lock)
        finally:
            self._memory.forget_entry(self.name, row.place)
        self._bound.wrote(row.size)

    def remembered(self, place: Place) -> Any:
        """What memory has, which is no less than the table's."""
        return self._memory.get(self.name, place)

    def flight(self, place: Place, epochs: Iterable[int]) -> int:
        """The number under which a value is made, in this schema, since it was last forgotten."""
        target, since = invalidation.entry(self.name, place), " ".join(map(str, epochs))
        return invalidation.lock_number(f"digitwin.cache {self._schema} {target.lock} {since}")

    async def look(self, place: Place, tags: Iterable[str], stale: float = 0.0) -> Look:
        """See a value, or what must not have changed when one is put there later.

        Args:
            stale: seconds for which its time may have been over.
        """
        kinds, names = _by_column(self._covering(place, tags))
        reading = self._memory.reading(self.name)
        row = await self._core.aside.fetchrow(
            self._sql("look"), *place, self.name, kinds, names, stale
        )
        assert row is not None
        stored, labels, lives, epochs = row
        if stored is None:
            return Look(None, epochs)
        if lives > 0:
            self._memory.keep(reading, place, stored, labels, lives)
        return Look(stored, epochs, stale=lives <= 0)

    async def put_unless_forgotten(self, row: Row, epochs: list[int]) -> None:
        """Put what was made since a look, unless it was forgotten in between."""
        targets = self._covering(row.place, row.tags)
        try:
            async with self._core.aside.transaction() as on:
                await invalidation.begin_storing(on, targets)
                marked = self.name, *_by_column(targets), epochs
                await on.execute(self._keep, *row[:_STALE], *marked, row.stale)
        finally:
            self._memory.forget_entry(self.name, row.place)
        self._bound.wrote(row.size)

    async def take_out(self, place: Place) -> bool:
        """Forget one entry; whether it was there."""
        target = invalidation.entry(self.name, place)
        try:
            async with self._core.aside.transaction() as on:
                await invalidation.forget(on, [target])
                return bool(await on.fetchval(self._sql("delete"), *place, target.name))
        finally:
            self._memory.forget(target)

    async def forget(self, *, tag: str | None, user_id: UUID | None) -> int:
        """Forget the entries with all that is given; how many there were.

        They are marked first and swept after, so that no lock lasts as long as the sweep.
        """
        target, condition, values = self._chosen(tag, user_id)
        try:
            async with self._core.aside.transaction() as on:
                await invalidation.forget(on, [target])
            sweep = self._sql("sweep", condition, worth_telling="true")
            return await self._in_batches(sweep, target.kind, target.name, *values)
        finally:
            self._memory.forget(target)

    async def sweep_within(self, on: Statements, user_id: UUID) -> None:
        """Drop a person's rows within the transaction that has marked them.

        Where there are none, nobody is told: news makes commits wait for each other.
        """
        target = invalidation.person(self.name, user_id)
        sweep = self._sql("sweep", "user_id = $4", worth_telling="count(*) > 0")
        await on.fetchval(sweep, None, target.kind, target.name, user_id)

    async def make_room(self) -> int:
        """Keep to the store's bounds; how many entries had to go."""
        return await self._bound.keep()

    async def close(self) -> None:
        """End what goes on in the background."""
        await self._bound.close()

    async def purge(self) -> int:
        """Clear away expired rows; how many there were."""
        return await self._in_batches(self._sql("purge_batch"))

    async def evict(self, rows: int, size: int) -> int:
        """Remove the oldest entries until the rest keeps to both bounds; how many there were."""
        beyond: Any = await self._core.aside.fetchrow(self._sql("beyond"), rows, size)
        sql, left = self._sql("evict_batch"), beyond["rows"]
        while left:
            asked = min(left, BATCH)
            gone = await self._core.aside.fetchval(sql, asked, beyond["until"])
            left -= gone
            if gone < asked:
                break  # somebody else is at the rest
        return int(beyond["rows"] - left)

    async def sizes(self) -> Mapping[str, int]:
        """``live`` and ``expired`` rows, and their ``bytes``."""
        row: Any = await self._core.aside.fetchrow(self._sql("sizes"))
        return dict(row)

    def _covering(self, place: Place, tags: Iterable[str]) -> list[Target]:
        return invalidation.covering(self.name, place, tags)

    def _chosen(self, tag: str | None, user_id: UUID | None) -> tuple[Target, str, list[Any]]:
        """What to mark, and how its rows are found.

        One person's entries with a tag are marked by the tag alone: what others have under way
        with it is not stored either, which costs them one call of a factory.
        """
        if tag is not None and user_id is not None:
            condition = "user_id = $4 AND tags @> $5::text[]"
            return invalidation.tagged(self.name, tag), condition, [user_id, [tag]]
        if tag is not None:
            return invalidation.tagged(self.name, tag), "tags @> $4::text[]", [[tag]]
        if user_id is not None:
            return invalidation.person(self.name, user_id), "user_id = $4", [user_id]
        return invalidation.everything(self.name), "true", []

    async def _in_batches(self, sql: str, *values: Any) -> int:
        removed, batch = 0, BATCH
        while batch == BATCH:
            batch = await self._core.aside.fetchval(sql, BATCH, *values)
            removed += batch
        return removed


def _by_column(targets: Iterable[Target]) -> tuple[list[str], list[str]]:
    chosen = list(targets)
    return [target.kind for target in chosen], [target.name for target in chosen]


@cache
def compiled(
    table: str,
    store: str,
    name: str,
    condition: str = "",
    *,
    counts_hits: bool = False,
    worth_telling: str = "",
) -> str:
    """A statement of a store's table, as it is sent."""
    parts = {"table": table, "store": store, "channel": _SQL["channel"], "condition": condition}
    anew = _SQL["or_replace"].format(no_hits=", hit_count = 0" if counts_hits else "", **parts)
    return _SQL[name].format(or_replace=anew, worth_telling=worth_telling, **parts)
