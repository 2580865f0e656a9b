"""A server's clock that was ahead while a seal was made: what follows is sealed, and told once."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import pytest

from digitwin import uuid7
from digitwin.audit import chain_verification, sealing
from digitwin.database import Database
from digitwin.kernel.sql.queries import compiled
from digitwin.testing import DatabaseFactory

KEY = "ZGlnaXR3aW4gdGVzdHMgb25seSwgbm90IGEgc2VjcmU="


@pytest.fixture
async def db(digitwin_db_factory: DatabaseFactory, digitwin_url: str) -> Database:
    return await digitwin_db_factory(digitwin_url, audit_key=KEY)


async def seal_ahead(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seal a record while the server's clock is a day ahead."""
    await db.audit.record("before", "test")
    begin = sealing.QUERIES["begin_sealing"].sql
    with monkeypatch.context() as patch:
        ahead = compiled(begin.replace("now()", "now() + interval '1 day' AS now"))
        patch.setitem(sealing.QUERIES, "begin_sealing", ahead)
        assert await db.audit.seal() == 1


async def test_what_follows_is_sealed_and_told_once(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await db.audit.record("first", "test")
    await db.audit.seal()
    await seal_ahead(db, monkeypatch)
    for _ in range(3):
        await db.audit.record("after", "test")
    seen = await db.audit.verify()
    assert (seen.ok, seen.sealed) == (True, 2), seen.faults
    assert len([notice for notice in seen.notices if "clock" in notice]) == 1
    assert await db.audit.seal() == 3
    await db.audit.record("later", "test")
    assert await db.audit.seal() == 1
    seen = await db.audit.verify()
    assert (seen.ok, seen.sealed) == (True, 6), seen.faults
    assert len([notice for notice in seen.notices if "clock" in notice]) == 1


async def test_records_dated_by_that_clock_are_no_faults(
    db: Database, raw: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their ids are of the service's clock, which was right."""
    dated = "ALTER TABLE audit_logs ALTER created_at SET DEFAULT now()"
    await raw.execute(f"{dated} + interval '1 day' - interval '1 second'")
    await seal_ahead(db, monkeypatch)
    await db.audit.record("ahead, and not sealed yet", "test")
    await raw.execute(dated)
    assert await faults_and_ahead(db) == ([], 2)
    await db.audit.record("after", "test")
    await db.audit.seal()
    assert await faults_and_ahead(db) == ([], 2)
    await raw.execute(
        "INSERT INTO audit_logs (id, action, resource, created_at)"
        " VALUES ($1, 'x', 'r', now() - interval '1 day')",
        uuid7(),
    )
    found, ahead = await faults_and_ahead(db)
    assert ([kind for kind, _ in found], ahead) == (["time"], 2)


async def test_health_counts_what_has_no_seal(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await seal_ahead(db, monkeypatch)
    await db.audit.record("after", "test")
    health = await db.health()
    assert health.audit_unsealed == 1
    assert health.audit_unsealed_seconds is not None
    assert health.audit_unsealed_seconds > 0
    await db.audit.seal()
    health = await db.health()
    assert (health.audit_unsealed, health.audit_unsealed_seconds) == (0, 0)


async def test_health_counts_records_of_the_future(db: Database, raw: asyncpg.Connection) -> None:
    await raw.execute(
        "INSERT INTO audit_logs (id, action, resource, created_at)"
        " VALUES ($1, 'ahead', 'test', now() + interval '1 day')",
        uuid7(),
    )
    health = await db.health()
    assert (health.audit_unsealed, health.audit_unsealed_seconds) == (1, 0)


async def test_what_was_inserted_into_a_sealed_time_is_still_found(
    db: Database, raw: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await db.audit.record("first", "test")
    await db.audit.seal()
    await seal_ahead(db, monkeypatch)
    made_up = uuid7()
    await raw.execute(
        "INSERT INTO audit_logs (id, action, resource, created_at)"
        " SELECT $1, 'x', 'r', created_at FROM audit_logs WHERE action = 'first'",
        made_up,
    )
    assert await faults(db) == [("inserted", made_up)]
    await db.audit.record("after", "test")
    await db.audit.seal()
    assert await faults(db) == [("inserted", made_up)]


async def test_a_notice_is_not_made_of_a_seal_in_time(db: Database) -> None:
    await db.audit.record("did", "test")
    await db.audit.seal()
    notices = (await db.audit.verify()).notices
    assert [notice.split(" (")[0] for notice in notices] == [
        "No checkpoints are kept outside the database"
    ]
    assert chain_verification.LATE.days == 1


async def faults(db: Database) -> list[tuple[str, UUID | None]]:
    return [(fault.kind, fault.record_id) for fault in (await db.audit.verify()).faults]


async def faults_and_ahead(db: Database) -> tuple[list[tuple[str, UUID | None]], int]:
    """The faults, and how many records a notice says are dated later than their ids."""
    notices = (await db.audit.verify()).notices
    start = "Records dated later than their ids: "
    told = [notice.removeprefix(start) for notice in notices if notice.startswith(start)]
    return await faults(db), sum(int(notice.partition(".")[0]) for notice in told)
