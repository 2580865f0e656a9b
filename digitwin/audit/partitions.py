"""The trail by months: each partition made before its month begins, dropped when it is old.

Whatever changes partitions here is one short transaction, by one instance at a time, and
never waits for a lock while others would queue up behind it: when the moment is not free,
it is tried again a little later, and then left to the next upkeep.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from digitwin.errors import QueryTimeoutError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.primitives.ids import floor_id
from digitwin.kernel.sql.queries import load

log = logging.getLogger("digitwin.audit")

ATTEMPTS = 5
"""How often a busy moment is tried again, :data:`PAUSE` seconds apart."""
PAUSE = 0.05

_BUSY = {"55P03", "40P01"}
"""A lock that is not free, and a deadlock: both pass."""

_SQL = load(__package__)
_BOUNDS = re.compile(r"FOR VALUES FROM \('([0-9a-f-]{36})'\) TO \('([0-9a-f-]{36})'\)")


@dataclass(frozen=True, slots=True)
class Partition:
    """A range of ids with a table of its own; ``upper`` belongs to the next one."""

    name: str
    lower: UUID
    upper: UUID

    @classmethod
    def of_month(cls, moment: datetime) -> Partition:
        """The partition of the month this moment lies in, in UTC."""
        first = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return cls(
            f"audit_logs_y{first:%Y}m{first:%m}", floor_id(first), floor_id(next_month(first))
        )

    def sql(self, query: str, *, default: str = "") -> str:
        """A named statement about this partition; every part of it is of our making."""
        return _SQL[query].format(
            name=self.name, lower=self.lower, upper=self.upper, default=default
        )


def next_month(first: datetime) -> datetime:
    """The first of the month after."""
    years, month = divmod(first.month, 12)
    return first.replace(year=first.year + years, month=month + 1)


@dataclass(frozen=True, slots=True)
class Layout:
    """The partitions as they are, and the database's time."""

    now: datetime
    default: str | None
    partitions: tuple[Partition, ...]

    def missing(self, months: int) -> list[Partition]:
        """This month and so many after it, those without a partition."""
        wanted, moment = [], self.now.replace(day=1)
        for _ in range(months + 1):
            wanted.append(Partition.of_month(moment))
            moment = next_month(moment)
        return [month for month in wanted if not self._covers(month.lower)]

    def ended(self, cutoff: datetime) -> list[Partition]:
        """The partitions whose time was over at the cut-off."""
        return [old for old in self.partitions if old.upper <= floor_id(cutoff)]

    def _covers(self, id: UUID) -> bool:
        return any(part.lower <= id < part.upper for part in self.partitions)


async def missing(core: Core, months: int) -> list[Partition]:
    """This month and so many after it, those that have no partition."""
    async with core.aside.transaction() as tx:
        return (await _layout(tx, await tx.fetchval(_SQL["now"]))).missing(months)


async def create_ahead(core: Core, months: int) -> int:
    """Make what is missing of this month's partition and the next ones'; the number made."""

    async def create(tx: Statements, layout: Layout) -> int:
        missing = layout.missing(months)
        for month in missing:
            await _create(tx, month, layout)
        return len(missing)

    return await _when_free(core, create)


async def drop_ended(core: Core, cutoff: datetime, upto: int) -> int:
    """Drop the partitions that hold nothing younger, and nothing that no seal up to this one
    holds; the number of records gone with them."""
    dropped = 0
    async with core.aside.transaction() as tx:
        ended = (await _layout(tx, cutoff)).ended(cutoff)
    for old in ended:

        async def drop(tx: Statements, layout: Layout, old: Partition = old) -> int:
            return await _drop(tx, old, cutoff, upto) if old in layout.partitions else 0

        dropped += await _when_free(core, drop)
    return dropped


async def _create(tx: Statements, month: Partition, layout: Layout) -> None:
    await tx.execute(month.sql("create_partition"))
    if month.lower <= floor_id(layout.now):
        await tx.execute(_SQL["lock_writers"])
    if layout.default is not None:
        await tx.execute(month.sql("lock_default", default=layout.default))
        await tx.fetchval(_SQL["allow_purge"])
        await tx.execute(month.sql("move_from_default", default=layout.default))
    await tx.execute(month.sql("attach_partition"))


async def _drop(tx: Statements, old: Partition, cutoff: datetime, upto: int) -> int:
    records: int = await tx.fetchval(old.sql("count_partition"))
    if await tx.fetchval(old.sql("has_kept"), upto):
        return 0
    await tx.execute(_SQL["lock_trail"])
    if await tx.fetchval(old.sql("has_younger"), cutoff):
        return 0
    await tx.execute(old.sql("drop_partition"))
    return records


async def _when_free(core: Core, change: Callable[[Statements, Layout], Awaitable[int]]) -> int:
    """Change the partitions in a transaction of its own; 0 when no free moment was found."""
    for _ in range(ATTEMPTS):
        try:
            async with core.aside.transaction() as tx:
                begun = await tx.fetchrow(_SQL["begin_partitioning"])
                assert begun is not None
                return await change(tx, await _layout(tx, begun["now"])) if begun["mine"] else 0
        except QueryTimeoutError as error:
            if error.details.get("sqlstate") not in _BUSY:
                raise
        await asyncio.sleep(PAUSE)
    log.info("The audit trail was busy: its partitions wait for the next upkeep")
    return 0


async def _layout(tx: Statements, now: datetime) -> Layout:
    # one that another instance has dropped meanwhile may still be listed, without its bounds
    rows = [row for row in await tx.fetch(_SQL["partitions"]) if row["bounds"] is not None]
    ranges = [(row["name"], _BOUNDS.fullmatch(row["bounds"])) for row in rows]
    return Layout(
        now,
        next((row["name"] for row in rows if row["is_default"]), None),
        tuple(Partition(name, UUID(at[1]), UUID(at[2])) for name, at in ranges if at),
    )
