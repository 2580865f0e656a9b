"""Retention: what is old goes, in pieces, past whoever stands in the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin.audit.partitions import Partition
from digitwin.database import Database
from digitwin.errors import InvalidInputError

Past = Callable[..., Awaitable[list[UUID]]]


async def ids(db: Database) -> set[UUID]:
    return {record.id for record in (await db.audit.list(limit=1000)).items}


@pytest.fixture
async def old_month(raw: asyncpg.Connection, now: datetime) -> str:
    """A partition whose month ended more than ninety days ago."""
    month = Partition.of_month(now - timedelta(days=150))
    await raw.execute(
        f"CREATE TABLE {month.name} PARTITION OF audit_logs"
        f" FOR VALUES FROM ('{month.lower}') TO ('{month.upper}')"
    )
    return month.name


async def exists(raw: asyncpg.Connection, table: str) -> bool:
    return await raw.fetchval("SELECT to_regclass($1)", table) is not None


async def test_ninety_days_are_kept(digitwin_db: Database, past: Past) -> None:
    kept = [*await past(0), *await past(89.9)]
    await past(90.1, 3)
    assert await digitwin_db.audit.purge() == 3
    assert await ids(digitwin_db) == set(kept)


async def test_the_age_can_be_given(digitwin_db: Database, past: Past) -> None:
    await past(2)
    kept = await past(0.5)
    assert await digitwin_db.audit.purge(timedelta(days=1)) == 1
    assert await ids(digitwin_db) == set(kept)


@pytest.mark.parametrize("age", [-1, float("nan"), "90 days", None, True])
async def test_an_age_that_is_none_is_refused(digitwin_db: Database, age: Any) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await digitwin_db.audit.purge(age)
    assert refused.value.details["field"] == "older_than"


async def test_more_than_a_batch_goes_too(digitwin_db: Database, past: Past) -> None:
    await past(100, 2300)
    assert await digitwin_db.audit.purge() == 2300


async def test_instances_at_once_share_the_work(digitwin_db: Database, past: Past) -> None:
    await past(100, 3500)
    removed = await asyncio.gather(*(digitwin_db.audit.purge() for _ in range(4)))
    assert sum(removed) == 3500


async def test_a_held_record_is_passed_by_not_waited_for(
    digitwin_db: Database, raw: asyncpg.Connection, past: Past
) -> None:
    [held, *_] = await past(100, 10)
    async with raw.transaction():
        await raw.execute("SELECT * FROM audit_logs WHERE id = $1 FOR UPDATE", held)
        async with asyncio.timeout(3):
            assert await digitwin_db.audit.purge() == 9
    assert await ids(digitwin_db) == {held}


async def test_a_month_that_is_over_is_dropped_whole(
    digitwin_db: Database, raw: asyncpg.Connection, past: Past, old_month: str
) -> None:
    await past(150, 40)
    assert await digitwin_db.audit.purge() == 40
    assert not await exists(raw, old_month)


async def test_a_month_is_dropped_once_however_many_ask(
    digitwin_db: Database, raw: asyncpg.Connection, past: Past, old_month: str
) -> None:
    await past(150, 40)
    removed = await asyncio.gather(*(digitwin_db.audit.purge() for _ in range(6)))
    assert sum(removed) == 40
    assert await ids(digitwin_db) == set()


async def test_a_young_record_keeps_its_old_month(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    past: Past,
    old_month: str,
) -> None:
    [_, young] = await past(150, 2)
    await raw.execute("SET session_replication_role = replica")
    await raw.execute("UPDATE audit_logs SET created_at = now() WHERE id = $1", young)
    assert await digitwin_db.audit.purge() == 1
    assert await exists(raw, old_month)
    assert await ids(digitwin_db) == {young}


async def test_a_long_reader_keeps_the_month_but_not_its_records(
    digitwin_db: Database, raw: asyncpg.Connection, past: Past, old_month: str
) -> None:
    await past(150, 40)
    async with raw.transaction():
        await raw.fetch("SELECT * FROM audit_logs")
        async with asyncio.timeout(3):
            assert await digitwin_db.audit.purge() == 40
            await digitwin_db.audit.record("login", "user")
    assert await exists(raw, old_month)
    assert await digitwin_db.audit.purge() == 0
    assert not await exists(raw, old_month)


async def test_a_purge_stands_whatever_becomes_of_the_transaction(
    digitwin_db: Database, past: Past
) -> None:
    await past(100, 2)
    with pytest.raises(RuntimeError):
        async with digitwin_db.transaction():
            assert await digitwin_db.audit.purge() == 2
            raise RuntimeError
    assert await ids(digitwin_db) == set()
