"""The service does not sign what somebody without the key has edited, and `verify` tells of it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from digitwin.audit.sealing import MAX_SEAL
from digitwin.database import Database
from digitwin.errors import InvalidStateError
from digitwin.testing import DatabaseFactory

KEY = "ZGlnaXR3aW4gdGVzdHMgb25seSwgbm90IGEgc2VjcmU="
Past = Callable[..., Awaitable[list[UUID]]]
Open = Callable[..., Awaitable[Database]]

FORGE = ("UPDATE audit_logs SET action = 'nothing'", "TRUNCATE audit_seals, audit_leaves")


@pytest.fixture
def opened(digitwin_db_factory: DatabaseFactory, digitwin_url: str) -> Open:
    async def opened(key: str | None = KEY, **settings: object) -> Database:
        return await digitwin_db_factory(digitwin_url, audit_key=key, **settings)

    return opened


async def sealed(db: Database) -> int:
    await db.audit.record("did", "test")
    return await db.audit.seal()


async def test_a_process_that_saw_the_seals_does_not_sign_the_forgery(
    opened: Open, admin: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    db = await opened()
    assert await sealed(db) == 1
    for statement in FORGE:
        await admin.execute(statement)
    with caplog.at_level(logging.ERROR, "digitwin.audit"):
        assert await sealed(db) == 0
    assert "Seal 1 of the audit trail is gone" in caplog.text
    assert any("Seal 1 is gone" in notice for notice in (await db.audit.verify()).notices)
    assert (await db.health()).audit_unsealed == 2


async def test_nor_when_others_have_sealed_again(opened: Open, admin: asyncpg.Connection) -> None:
    db, other = await opened(), await opened()
    await sealed(db)
    for statement in FORGE:
        await admin.execute(statement)
    assert await sealed(other) == 2
    assert await sealed(db) == 0


async def test_after_retention_it_goes_on(opened: Open, past: Past) -> None:
    db = await opened()
    await past(100)
    await db.audit.seal()
    for _ in range(2):
        await sealed(db)
    await db.audit.purge(timedelta(days=90))
    assert await sealed(db) == 1
    assert (await db.audit.verify()).ok


async def test_seals_much_younger_than_their_records_are_told(
    opened: Open, past: Past, admin: asyncpg.Connection
) -> None:
    db = await opened()
    await past(40)
    await sealed(db)
    for statement in FORGE:
        await admin.execute(statement)
    after_a_restart = await opened()
    assert await sealed(after_a_restart) == 3
    told = (await after_a_restart.audit.verify()).notices
    assert any(notice.startswith("Seal 1: more than a day younger") for notice in told)


async def test_an_unsigned_seal_after_a_signed_one_stays_a_fault(
    opened: Open, admin: asyncpg.Connection
) -> None:
    db = await opened()
    await sealed(db)
    await sealed(db)
    await admin.execute("UPDATE audit_seals SET key_id = NULL, signature = NULL WHERE number = 2")
    await admin.execute("UPDATE audit_seals SET head = $1 WHERE number = 2", await _head(admin))
    after_a_restart = await opened()
    await sealed(after_a_restart)
    details = [fault.detail for fault in (await after_a_restart.audit.verify()).faults]
    assert details == ["seal 2 is unsigned, after signed ones"]


async def _head(raw: asyncpg.Connection) -> bytes:
    """The head that seal 2 has without its signature, which needs no key."""
    from digitwin.audit.hash_chain import Seal

    row = await raw.fetchrow(
        "SELECT number, created_at, horizon, newest, records, root, previous FROM audit_seals"
        " WHERE number = 2"
    )
    await raw.execute("UPDATE audit_seals SET algorithm = 'none' WHERE number = 2")
    assert row is not None
    return Seal(**row).digest()


async def test_unsigned_seals_before_the_first_key_are_none(opened: Open) -> None:
    await sealed(await opened(key=None))
    db = await opened()
    await sealed(db)
    assert (await db.audit.verify()).ok


async def test_without_its_key_a_signed_trail_is_left_alone(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    db = await opened()
    await sealed(db)
    with caplog.at_level(logging.ERROR, "digitwin.audit"):
        assert await sealed(await opened(key=None)) == 0
    assert "DIGITWIN_AUDIT_KEY" in caplog.text
    assert await db.audit.seal() == 1
    assert (await db.audit.verify()).ok


async def test_whether_checkpoints_are_kept_is_told(opened: Open, tmp_path: Path) -> None:
    without, with_them = await opened(), await opened(audit_checkpoints=tmp_path / "heads")
    assert any("No checkpoints" in notice for notice in (await without.audit.verify()).notices)
    assert (await with_them.audit.verify()).notices == ()


async def test_used_up_numbers_are_a_typed_error_and_show_in_health(
    opened: Open, raw: asyncpg.Connection
) -> None:
    db = await opened()
    await sealed(db)
    insert = (
        "INSERT INTO audit_seals (number, created_at, horizon, running, records, root, previous,"
        " head, algorithm) SELECT $1, now(), 'infinity', '', 0, root, head, head, 'none'"
        " FROM audit_seals WHERE number = 1"
    )
    with pytest.raises(asyncpg.CheckViolationError):
        await raw.execute(insert, 2**63 - 1)
    await raw.execute(insert, MAX_SEAL)
    after_a_restart = await opened()
    for handle in (db, after_a_restart):
        await handle.audit.record("did", "test")
        with pytest.raises(InvalidStateError, match="no number for the next one"):
            await handle.audit.seal()
    health = await db.health()
    assert health.audit_unsealed == 2
    assert not (await db.audit.verify()).ok


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "20000-01-01", "4000-01-01 BC"])
async def test_a_time_that_python_cannot_hold_stops_neither_sealing_nor_verification(
    opened: Open, raw: asyncpg.Connection, moment: str
) -> None:
    db = await opened()
    await sealed(db)
    await raw.execute(
        "INSERT INTO audit_seals SELECT 2, $1::text::timestamptz, $1::text::timestamptz,"
        " $1::text::timestamptz, '', 0, root, head, head, NULL, 'none', NULL FROM audit_seals",
        moment,
    )
    await raw.execute(
        "INSERT INTO audit_leaves SELECT 2, 1, $2, $1::text::timestamptz, content, leaf,"
        " commitments, salts FROM audit_leaves",
        moment,
        UUID(int=1),
    )
    await raw.execute(
        "INSERT INTO audit_logs (id, action, resource, created_at)"
        " VALUES ($2, 'x', 'r', $1::text::timestamptz)",
        moment,
        UUID("ffffffff-ffff-7fff-bfff-ffffffffffff"),
    )
    assert await sealed(db) == 1
    assert {fault.kind for fault in (await db.audit.verify()).faults} >= {"seal"}
    assert (await db.health()).audit_unsealed is not None
