"""What a look at the trail brings to light."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID, uuid4

import asyncpg
import pytest

from digitwin.audit.faults import MAX_FAULTS
from digitwin.audit.partitions import Partition
from digitwin.database import Database

Past = Callable[..., Awaitable[list[UUID]]]


async def faults(db: Database) -> list[tuple[str, UUID | None]]:
    return [(fault.kind, fault.record_id) for fault in (await db.audit.verify()).faults]


async def test_a_trail_as_we_leave_it_is_in_order(digitwin_db: Database) -> None:
    for n in range(3):
        await digitwin_db.audit.record(f"step {n}", "test")
    seen = await digitwin_db.audit.verify()
    assert (seen.ok, seen.records, seen.faults) == (True, 3, ())


async def test_a_changed_time_is_found(digitwin_db: Database, raw: asyncpg.Connection) -> None:
    id = await digitwin_db.audit.record("login", "user")
    await raw.execute("SET session_replication_role = replica")
    await raw.execute("UPDATE audit_logs SET created_at = now() - interval '2 hours'")
    assert await faults(digitwin_db) == [("time", id)]


async def test_an_id_made_elsewhere_is_found(
    digitwin_db: Database, raw: asyncpg.Connection
) -> None:
    id = uuid4()
    await raw.execute("INSERT INTO audit_logs (id, action, resource) VALUES ($1, 'a', 'r')", id)
    assert await faults(digitwin_db) == [("id", id)]


async def test_a_record_without_a_month_is_found(digitwin_db: Database, past: Past) -> None:
    [early] = await past(-300)
    assert await faults(digitwin_db) == [("unplaced", early)]


@pytest.mark.parametrize("how", ["DISABLE TRIGGER ALL", "DISABLE TRIGGER USER"])
async def test_a_guard_that_is_off_is_found(
    digitwin_db: Database, raw: asyncpg.Connection, now: datetime, how: str
) -> None:
    month = Partition.of_month(now).name
    await raw.execute(f"ALTER TABLE {month} {how}")
    [fault] = (await digitwin_db.audit.verify()).faults
    assert fault.kind == "guard"
    assert month in fault.detail


async def test_a_guard_that_is_gone_is_found_everywhere(
    digitwin_db: Database, raw: asyncpg.Connection
) -> None:
    for row in await raw.fetch(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 'audit_logs'::regclass AND NOT tgisinternal"
    ):
        await raw.execute(f'DROP TRIGGER "{row[0]}" ON audit_logs')
    partitions = await raw.fetchval("SELECT count(*) FROM pg_partition_tree('audit_logs')")
    triggers = 2
    assert await faults(digitwin_db) == [("guard", None)] * (partitions + triggers)


async def test_a_missing_month_is_found(
    digitwin_db: Database, raw: asyncpg.Connection, now: datetime
) -> None:
    await raw.execute(f"DROP TABLE {Partition.of_month(now).name}")
    assert await faults(digitwin_db) == [("partition", None)]


async def test_the_list_of_faults_has_an_end(digitwin_db: Database, past: Past) -> None:
    await past(-300, MAX_FAULTS + 50)
    seen = await digitwin_db.audit.verify()
    assert (len(seen.faults), seen.records) == (MAX_FAULTS, MAX_FAULTS + 50)
