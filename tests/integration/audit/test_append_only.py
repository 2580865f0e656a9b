"""Nothing changes a record: not a model, not SQL, not a flag somebody left set."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import DigiTwinError
from digitwin.models import AuditLog

Past = Callable[..., Awaitable[list[UUID]]]


@pytest.fixture
async def record(digitwin_db: Database) -> AuditLog:
    await digitwin_db.audit.record("login", "user", metadata={"as": "given"})
    [found] = (await digitwin_db.audit.list()).items
    return found


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_logs SET action = 'other'",
        "UPDATE audit_logs SET id = gen_random_uuid()",
        "DELETE FROM audit_logs",
        "TRUNCATE audit_logs",
    ],
)
async def test_sql_cannot_change_the_trail(
    raw: asyncpg.Connection, record: AuditLog, change: str
) -> None:
    with pytest.raises(asyncpg.RaiseError):
        await raw.execute(change)
    assert await raw.fetchval("SELECT action FROM audit_logs") == "login"


async def test_a_partition_is_guarded_by_itself(raw: asyncpg.Connection, record: AuditLog) -> None:
    home = await raw.fetchval("SELECT tableoid::regclass::text FROM audit_logs")
    with pytest.raises(asyncpg.RaiseError):
        await raw.execute(f"DELETE FROM {home}")


async def test_a_new_partition_is_guarded_from_its_first_record(
    digitwin_db: Database, raw: asyncpg.Connection, past: Past, now: datetime
) -> None:
    await digitwin_db.audit.prepare(months=8)
    last = await raw.fetchval(
        "SELECT relid::regclass::text FROM pg_partition_tree('audit_logs') WHERE isleaf"
        " ORDER BY 1 DESC LIMIT 1"
    )
    year, month = divmod(12 * now.year + now.month - 1 + 8, 12)
    await past((now - datetime(year, month + 1, 2, tzinfo=UTC)) / timedelta(days=1))
    assert await raw.fetchval(f"SELECT count(*) FROM {last}") == 1
    with pytest.raises(asyncpg.RaiseError):
        await raw.execute(f"UPDATE {last} SET action = 'other'")


async def test_an_update_is_refused_even_where_a_purge_may_delete(
    raw: asyncpg.Connection, record: AuditLog
) -> None:
    with pytest.raises(asyncpg.RaiseError):
        async with raw.transaction():
            await raw.execute("SET LOCAL digitwin.allow_hard_delete = 'on'")
            await raw.execute("UPDATE audit_logs SET action = 'other'")


async def test_a_model_cannot_change_its_record(digitwin_db: Database, record: AuditLog) -> None:
    record.action = "other"
    with digitwin_db.activate(), pytest.raises(DigiTwinError):
        await record.save()


async def test_a_model_cannot_delete_its_record(digitwin_db: Database, record: AuditLog) -> None:
    with digitwin_db.activate(), pytest.raises(DigiTwinError):
        await record.delete()
    assert len((await digitwin_db.audit.list()).items) == 1


async def test_a_queryset_cannot_delete_records(digitwin_db: Database, record: AuditLog) -> None:
    with digitwin_db.activate(), pytest.raises(Exception, match="is refused"):
        await AuditLog.all().delete()
    assert len((await digitwin_db.audit.list()).items) == 1


async def test_a_purge_leaves_no_open_door(
    digitwin_db: Database, record: AuditLog, past: Past
) -> None:
    await past(100)
    assert await digitwin_db.audit.purge() == 1
    with pytest.raises(DigiTwinError):
        await digitwin_db._core.aside.execute("DELETE FROM audit_logs")
