"""One table of the cache: rows as they are stored, and every statement that touches them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from digitwin.cache import marks
from digitwin.cache.fields import Place
from digitwin.cache.marks import Target
from digitwin.kernel.core import Core
from digitwin.kernel.executor import Executor
from digitwin.kernel.sql import load

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


class Look(NamedTuple):
    """What is there, and what was forgotten before, as one moment shows it."""

    stored: Any
    epochs: list[int]


class Shelf:
    """A store's table.

    Args:
        name: the store's, under which its marks stand.
        counts_hits: whether each row says how often it was used.
    """

    def __init__(self, core: Core, name: str, table: str, *, counts_hits: bool = False) -> None:
        self._core = core
        self._table = table
        self.name = name
        self.counts_hits = counts_hits
        self._get = _compiled("get", table)
        self._put = _compiled("set", table, counts_hits=counts_hits)
        self._keep = _compiled("set_unless_forgotten", table, counts_hits=counts_hits)

    async def get(self, place: Place) -> Any:
        return await self._core.aside.fetchval(self._get, *place)

    async def get_many(self, user_id: UUID, audience: str, keys: list[str]) -> dict[str, Any]:
        rows = await self._core.aside.fetch(
            _compiled("get_many", self._table), user_id, audience, keys
        )
        return {row["key"]: row["value"] for row in rows}

    async def put(self, row: Row) -> None:
        await self._core.aside.execute(self._put, *row)

    async def look(self, place: Place, tags: Iterable[str]) -> Look:
        """See a value, or what must not have changed when one is put there later."""
        kinds, names = _by_column(self._covering(place, tags))
        row = await self._core.aside.fetchrow(
            _compiled("look", self._table), *place, self.name, kinds, names
        )
        assert row is not None
        return Look(*row)

    async def put_unless_forgotten(self, row: Row, epochs: list[int]) -> None:
        """Put what was made since a look, unless it was forgotten in between."""
        targets = self._covering(Place(*row[:3]), row.tags)
        async with self._core.aside.transaction() as on:
            await marks.begin_storing(on, targets)
            await on.execute(self._keep, *row, self.name, *_by_column(targets), epochs)

    async def take_out(self, place: Place) -> bool:
        """Forget one entry; whether it was there."""
        async with self._core.aside.transaction() as on:
            await marks.forget(on, [marks.entry(self.name, place)])
            return bool(await on.fetchval(_compiled("delete", self._table), *place))

    async def forget(self, *, tag: str | None, user_id: UUID | None) -> int:
        """Forget the entries with all that is given; how many there were.

        They are marked first and swept after, so that no lock lasts as long as the sweep.
        """
        target, condition, values = self._chosen(tag, user_id)
        async with self._core.aside.transaction() as on:
            await marks.forget(on, [target])
        return await self._in_batches(_compiled("sweep", self._table, condition), *values)

    async def sweep_within(self, on: Executor, user_id: UUID) -> None:
        """Drop a person's rows within the transaction that has marked them."""
        await on.fetchval(_compiled("sweep", self._table, "user_id = $2"), None, user_id)

    async def purge(self) -> int:
        """Clear away expired rows; how many there were."""
        return await self._in_batches(_compiled("purge_batch", self._table))

    async def sizes(self) -> Mapping[str, int]:
        """``live`` and ``expired`` rows, and their ``bytes``."""
        row: Any = await self._core.aside.fetchrow(_compiled("sizes", self._table))
        return dict(row)

    def _covering(self, place: Place, tags: Iterable[str]) -> list[Target]:
        return marks.covering(self.name, place, tags)

    def _chosen(self, tag: str | None, user_id: UUID | None) -> tuple[Target, str, list[Any]]:
        """What to mark, and how its rows are found.

        One person's entries with a tag are marked by the tag alone: what others have under way
        with it is not stored either, which costs them one call of a factory.
        """
        if tag is not None and user_id is not None:
            condition = "user_id = $2 AND tags @> $3::text[]"
            return marks.tagged(self.name, tag), condition, [user_id, [tag]]
        if tag is not None:
            return marks.tagged(self.name, tag), "tags @> $2::text[]", [[tag]]
        if user_id is not None:
            return marks.person(self.name, user_id), "user_id = $2", [user_id]
        return marks.everything(self.name), "true", []

    async def _in_batches(self, sql: str, *values: Any) -> int:
        removed, batch = 0, BATCH
        while batch == BATCH:
            batch = await self._core.aside.fetchval(sql, BATCH, *values, write=True)
            removed += batch
        return removed


def _by_column(targets: Iterable[Target]) -> tuple[list[str], list[str]]:
    chosen = list(targets)
    return [target.kind for target in chosen], [target.name for target in chosen]


@cache
def _compiled(name: str, table: str, condition: str = "", *, counts_hits: bool = False) -> str:
    anew = _SQL["or_replace"].format(no_hits=", hit_count = 0" if counts_hits else "")
    return _SQL[name].format(table=table, condition=condition, or_replace=anew)
