"""The monthly partitions of the trail: created ahead of their month, dropped when they are old.

Every change is one short transaction, by one instance at a time. It does not wait for a lock that
others would have to queue behind: it retries a few times, and then leaves the change to the next
maintenance run.
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
from digitwin.kernel.sql.queries import Queries, Query

log = logging.getLogger("digitwin.audit")

ATTEMPTS = 5
"""How often a change is tried while a lock is taken, :data:`PAUSE` seconds apart."""
PAUSE = 0.05

_BUSY = {"55P03", "40P01"}
"""SQLSTATEs of a lock that is not available and of a deadlock: both are transient."""

QUERIES = Queries(__package__)
_BOUNDS = re.compile(r"FOR VALUES FROM \('([0-9a-f-]{36})'\) TO \('([0-9a-f-]{36})'\)")


@dataclass(frozen=True, slots=True)
class Partition:
    """A table for the ids from ``lower`` (included) to ``upper`` (excluded)."""

    name: str
    lower: UUID
    upper: UUID

    @classmethod
    def of_month(cls, moment: datetime) -> Partition:
        """Return the partition for the month of this time, in UTC."""
        first = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return cls(
            f"audit_logs_y{first:%Y}m{first:%m}", floor_id(first), floor_id(next_month(first))
        )

    def query(self, name: str, **fills: str) -> Query:
        """Return a named query about this partition."""
        bounds = {"lower": str(self.lower), "upper": str(self.upper)}
        return QUERIES.variant(name, partition=self.name, **bounds, **fills)


def next_month(first: datetime) -> datetime:
    """Return the first day of the next month."""
    years, month = divmod(first.month, 12)
    return first.replace(year=first.year + years, month=month + 1)


@dataclass(frozen=True, slots=True)
class Layout:
    """The existing partitions, and the database's time."""

    now: datetime
    default: str | None
    partitions: tuple[Partition, ...]

    def missing(self, months: int) -> list[Partition]:
        """Return those of this month and the next ``months`` that have no partition."""
        wanted, moment = [], self.now.replace(day=1)
        for _ in range(months + 1):
            wanted.append(Partition.of_month(moment))
            moment = next_month(moment)
        return [month for month in wanted if not self._covers(month.lower)]

    def ended(self, cutoff: datetime) -> list[Partition]:
        """Return the partitions of months that had ended at the cutoff."""
        return [old for old in self.partitions if old.upper <= floor_id(cutoff)]

    def _covers(self, id: UUID) -> bool:
        return any(part.lower <= id < part.upper for part in self.partitions)


async def missing(core: Core, months: int) -> list[Partition]:
    """Return those of this month and the next ``months`` that have no partition."""
    async with core.aside.transaction() as tx:
        return (await _layout(tx, await tx.fetchval(QUERIES["now"]))).missing(months)


async def create_ahead(core: Core, months: int) -> int:
    """Create the missing partitions of this month and the next ``months``; return their number."""

    async def create(tx: Statements, layout: Layout) -> int:
        missing = layout.missing(months)
        for month in missing:
            await _create(tx, month, layout)
        return len(missing)

    return await _retry_while_busy(core, create)


async def drop_ended(core: Core, cutoff: datetime, upto: int) -> int:
    """Drop partitions whose records are all older than the cutoff and sealed.

    Args:
        upto: the last seal that counts.

    Returns:
        The number of records dropped.
    """
    dropped = 0
    async with core.aside.transaction() as tx:
        ended = (await _layout(tx, cutoff)).ended(cutoff)
    for old in ended:

        async def drop(tx: Statements, layout: Layout, old: Partition = old) -> int:
            return await _drop(tx, old, cutoff, upto) if old in layout.partitions else 0

        dropped += await _retry_while_busy(core, drop)
    return dropped


async def _create(tx: Statements, month: Partition, layout: Layout) -> None:
    await tx.execute(month.query("create_partition"))
    if month.lower <= floor_id(layout.now):
        await tx.execute(QUERIES["lock_writers"])
    if layout.default is not None:
        await tx.execute(month.query("lock_default", default=layout.default))
        await tx.fetchval(QUERIES["permit"], permission="on")
        await tx.execute(month.query("move_from_default", default=layout.default))
    await tx.execute(month.query("attach_partition"))


async def _drop(tx: Statements, old: Partition, cutoff: datetime, upto: int) -> int:
    records: int = await tx.fetchval(old.query("count_partition"))
    if await tx.fetchval(old.query("has_kept"), upto=upto):
        return 0
    await tx.execute(QUERIES["lock_trail"])
    if await tx.fetchval(old.query("has_younger"), cutoff=cutoff):
        return 0
    await tx.execute(old.query("drop_partition"))
    return records


async def _retry_while_busy(
    core: Core, change: Callable[[Statements, Layout], Awaitable[int]]
) -> int:
    """Run a change in a transaction of its own; return 0 if its locks were never available."""
    for _ in range(ATTEMPTS):
        try:
            async with core.aside.transaction() as tx:
                begun = await tx.fetchrow(QUERIES["begin_partitioning"])
                assert begun is not None
                return await change(tx, await _layout(tx, begun["now"])) if begun["mine"] else 0
        except QueryTimeoutError as error:
            if error.details.get("sqlstate") not in _BUSY:
                raise
        await asyncio.sleep(PAUSE)
    log.info("The audit trail was busy: its partitions are left to the next maintenance run")
    return 0


async def _layout(tx: Statements, now: datetime) -> Layout:
    # a partition that another instance is dropping may still be listed, without bounds
    rows = [row for row in await tx.fetch(QUERIES["partitions"]) if row["bounds"] is not None]
    ranges = [(row["name"], _BOUNDS.fullmatch(row["bounds"])) for row in rows]
    return Layout(
        now,
        next((row["name"] for row in rows if row["is_default"]), None),
        tuple(Partition(name, UUID(at[1]), UUID(at[2])) for name, at in ranges if at),
    )
