"""Months: there before their time, whoever makes them, and with what came too early."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from digitwin.audit.partitions import Partition
from digitwin.database import Database

Past = Callable[..., Awaitable[list[UUID]]]

HOMES = "SELECT tableoid::regclass::text, count(*) FROM audit_logs GROUP BY 1"


@pytest.mark.parametrize(
    ("moment", "name", "lower", "upper"),
    [
        (datetime(2026, 11, 24, 15, tzinfo=UTC), "2026m11", (2026, 11), (2026, 12)),
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), "2026m12", (2026, 12), (2027, 1)),
        (datetime.fromisoformat("2027-01-01T00:30+01:00"), "2026m12", (2026, 12), (2027, 1)),
    ],
)
def test_a_month_is_one_of_utc(
    moment: datetime, name: str, lower: tuple[int, int], upper: tuple[int, int]
) -> None:
    month = Partition.of_month(moment)
    assert month.name == f"audit_logs_y{name}"
    assert _start(month.lower) == datetime(*lower, 1, tzinfo=UTC)
    assert _start(month.upper) == datetime(*upper, 1, tzinfo=UTC)


def _start(id: UUID) -> datetime:
    return datetime.fromtimestamp((id.int >> 80) / 1000, UTC)


async def names(raw: asyncpg.Connection) -> set[str]:
    rows = await raw.fetch(
        "SELECT relid::regclass::text FROM pg_partition_tree('audit_logs') WHERE isleaf"
    )
    return {row[0] for row in rows}


async def test_a_fresh_database_has_the_months_it_needs(digitwin_db: Database) -> None:
    assert await digitwin_db.audit.prepare() == 0


async def test_months_are_made_once(digitwin_db: Database, raw: asyncpg.Connection) -> None:
    before = await names(raw)
    assert await digitwin_db.audit.prepare(months=6) == 3
    assert len(await names(raw) - before) == 3
    assert await digitwin_db.audit.prepare(months=6) == 0


async def test_of_many_at_once_one_makes_the_months(
    digitwin_db: Database, raw: asyncpg.Connection
) -> None:
    before = await names(raw)
    made = await asyncio.gather(*(digitwin_db.audit.prepare(months=9) for _ in range(8)))
    assert sorted(made) == [0] * 7 + [6]
    assert len(await names(raw) - before) == 6


async def test_records_that_came_too_early_move_to_their_month(
    digitwin_db: Database, raw: asyncpg.Connection, past: Past
) -> None:
    early = await past(-6 * 30, 20)
    [(home, _)] = await raw.fetch(HOMES)
    assert home == "audit_logs_default"
    await digitwin_db.audit.prepare(months=7)
    [(home, count)] = await raw.fetch(HOMES)
    assert (home, count) == (Partition.of_month(_start(early[0])).name, 20)
    assert {record.id for record in (await digitwin_db.audit.list()).items} == set(early)


async def test_of_records_written_meanwhile_none_is_refused_or_lost(
    digitwin_db: Database, raw: asyncpg.Connection, now: datetime
) -> None:
    month = Partition.of_month(now).name
    await raw.execute(f"DROP TABLE {month}")
    made = asyncio.Event()

    async def write() -> int:
        written = 0
        while not made.is_set():
            await digitwin_db.audit.record("login", "user")
            written += 1
        return written

    async def make() -> int:
        while not (count := await digitwin_db.audit.prepare()):
            pass
        made.set()
        return count

    *written, count = await asyncio.gather(*(write() for _ in range(5)), make())
    assert count == 1
    assert (await digitwin_db.audit.statistics()).total == sum(written)
    assert [home for home, _ in await raw.fetch(HOMES)] == [month]


async def test_a_long_reader_puts_it_off_and_is_not_waited_for(
    digitwin_db: Database, raw: asyncpg.Connection
) -> None:
    async with raw.transaction():
        await raw.fetch("SELECT * FROM audit_logs")
        async with asyncio.timeout(3):
            assert await digitwin_db.audit.prepare(months=6) == 0
            await digitwin_db.audit.record("login", "user")
    assert await digitwin_db.audit.prepare(months=6) == 3


async def test_it_leaves_no_setting_behind(digitwin_db: Database) -> None:
    usual = await digitwin_db._core.aside.fetchval("SHOW lock_timeout")
    await digitwin_db.audit.prepare(months=6)
    for _ in range(digitwin_db.settings.pool_max):
        assert await digitwin_db._core.aside.fetchval("SHOW lock_timeout") == usual
