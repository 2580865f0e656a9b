"""What is past its time goes by a signed checkpoint, and by nothing else."""

from __future__ import annotations

import gzip
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from digitwin.audit import archive, purging, sealing
from digitwin.audit.hash_chain import Checkpoint
from digitwin.audit.partitions import Partition
from digitwin.database import Database
from digitwin.errors import ConfigurationError, InvalidInputError, InvalidStateError
from digitwin.testing import DatabaseFactory

Past = Callable[..., Awaitable[list[UUID]]]
KEY = "ZGlnaXR3aW4gdGVzdHMgb25seSwgbm90IGEgc2VjcmU="


@pytest.fixture
async def db(digitwin_db_factory: DatabaseFactory, digitwin_url: str) -> Database:
    return await digitwin_db_factory(digitwin_url, audit_key=KEY)


@pytest.fixture
async def month(raw: asyncpg.Connection, now: datetime) -> str:
    """A partition whose month ended more than ninety days ago."""
    month = Partition.of_month(now - timedelta(days=150))
    await raw.execute(
        f"CREATE TABLE {month.name} PARTITION OF audit_logs"
        f" FOR VALUES FROM ('{month.lower}') TO ('{month.upper}')"
    )
    return month.name


async def faults(db: Database) -> list[tuple[str, UUID | None]]:
    """But for records of months that have no partition, which tests put there."""
    found = (await db.audit.verify()).faults
    return [(fault.kind, fault.record_id) for fault in found if fault.kind != "unplaced"]


async def count(raw: asyncpg.Connection, table: str) -> int:
    found: int = await raw.fetchval(f"SELECT count(*) FROM {table}")
    return found


async def test_after_a_month_was_dropped_the_rest_still_verifies(
    db: Database,
    raw: asyncpg.Connection,
    past: Past,
    month: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("digitwin.audit.sealing.BATCH", 20)
    await past(150, 20)
    await past(20, 5)
    await db.audit.record("new", "test")
    await db.audit.seal()
    assert await db.audit.purge() == 20
    assert await raw.fetchval("SELECT to_regclass($1)", month) is None
    assert await faults(db) == []
    assert await raw.fetchval("SELECT array_agg(number) FROM audit_seals") == [2]
    assert await count(raw, "audit_leaves") == 6
    seen = await db.audit.verify()
    assert (seen.records, seen.sealed, seen.signatures) == (6, 6, "checked")


async def test_a_month_of_a_trail_that_was_sealed_as_it_came(
    db: Database, raw: asyncpg.Connection, past: Past, month: str
) -> None:
    await past(150, 20)
    await past(20, 5)
    await db.audit.record("new", "test")
    assert await db.audit.purge() == 20
    assert await faults(db) == []
    assert await db.audit.purge() == 0
    assert await count(raw, "audit_checkpoints") == 1
    await db.audit.record("new", "test")
    await db.audit.seal()
    assert await faults(db) == []


async def test_seals_are_folded_up_to_the_first_that_is_still_needed(
    db: Database, raw: asyncpg.Connection, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("digitwin.audit.sealing.BATCH", 4)
    monkeypatch.setattr(purging, "SEAL_BATCH", 2)
    await past(120, 18)
    await past(10, 3)
    assert await db.audit.purge() == 18
    last = await raw.fetchrow("SELECT * FROM audit_checkpoints ORDER BY number DESC LIMIT 1")
    assert last is not None
    assert (last["seal"], last["records"]) == (4, 16)
    assert await raw.fetchval("SELECT min(number) FROM audit_seals") == 5
    assert await raw.fetchval("SELECT min(seal) FROM audit_leaves") == 5
    assert await faults(db) == []


async def test_a_dropped_partition_without_its_checkpoint_is_found(
    db: Database, raw: asyncpg.Connection, past: Past, month: str
) -> None:
    ids = await past(150, 20)
    await db.audit.record("new", "test")
    await db.audit.seal()
    await raw.execute(f"DROP TABLE {month}")
    assert sorted(await faults(db)) == [("removed", id) for id in sorted(ids)]


async def test_a_dropped_partition_is_found_after_a_checkpoint_that_is_not_about_it(
    db: Database, raw: asyncpg.Connection, past: Past, month: str
) -> None:
    await past(300, 2)
    await past(150, 3)
    await db.audit.record("new", "test")
    await db.audit.purge(timedelta(days=200))
    assert await faults(db) == []
    await raw.execute(f"DROP TABLE {month}")
    assert [kind for kind, _ in await faults(db)] == ["removed"] * 3


async def test_a_checkpoint_that_is_gone_is_missed(
    db: Database, raw: asyncpg.Connection, past: Past
) -> None:
    await past(150, 3)
    await db.audit.seal()
    await db.audit.record("new", "test")
    await db.audit.purge()
    await raw.execute("SET session_replication_role = replica")
    await raw.execute("DELETE FROM audit_checkpoints")
    assert ("chain", None) in await faults(db)


@pytest.mark.parametrize("signed", [True, False])
async def test_a_checkpoint_that_somebody_else_made_is_found_and_not_gone_on_from(
    db: Database, raw: asyncpg.Connection, now: datetime, signed: bool
) -> None:
    gone = await db.audit.record("new", "test")
    await db.audit.seal()
    made = Checkpoint(1, now, now + timedelta(days=1), 0, bytes(32), 0)
    if signed:
        made = Checkpoint(1, now, made.removed_before, 0, bytes(32), 0, b"", "k", "a", b"s")
    await raw.execute(
        "INSERT INTO audit_checkpoints VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        *(1, now, made.removed_before, 0, bytes(32), 0, made.digest()),
        *(made.key_id, made.algorithm, made.signature),
    )
    await raw.execute("SET session_replication_role = replica")
    await raw.execute("DELETE FROM audit_logs WHERE id = $1", gone)
    assert await faults(db) == [("signature", None)]
    with pytest.raises(InvalidStateError, match="nothing is removed"):
        await db.audit.purge()
    assert await faults(db) == [("signature", None)]


async def test_what_is_not_sealed_is_not_removed(
    db: Database, raw: asyncpg.Connection, past: Past, month: str
) -> None:
    """As while an erasure holds the seals up."""
    await past(150, 3)
    await db.audit.record("new", "test")
    async with raw.transaction():
        await raw.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('digitwin.audit_seals', 0))"
        )
        assert await db.audit.purge() == 0
    assert await count(raw, month) == 3
    assert await db.audit.purge() == 3


async def test_a_record_removed_by_hand_is_not_folded_away(
    db: Database, raw: asyncpg.Connection, past: Past
) -> None:
    await past(150, 2)
    await db.audit.seal()
    young = await db.audit.record("young", "test")
    await db.audit.seal()
    await db.audit.record("new", "test")
    await raw.execute("SET session_replication_role = replica")
    await raw.execute("DELETE FROM audit_logs WHERE id = $1", young)
    await raw.execute("SET session_replication_role = origin")
    await db.audit.purge()
    assert ("removed", young) in await faults(db)


async def test_the_trail_verifies_after_a_purge_broke_off(
    db: Database, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    await past(150, 2500)
    await db.audit.record("new", "test")

    async def broken(*args: object) -> int:
        raise RuntimeError("broken off")

    with monkeypatch.context() as patch:
        patch.setattr(purging, "_purge_batch", broken)
        with pytest.raises(RuntimeError):
            await db.audit.purge()
    assert await faults(db) == []
    with monkeypatch.context() as patch:
        patch.setattr(purging, "_replace_seals", broken)
        with pytest.raises(RuntimeError):
            await db.audit.purge()
    assert await faults(db) == []
    with monkeypatch.context() as patch:
        patch.setattr(purging, "_delete_leaves", broken)
        with pytest.raises(RuntimeError):
            await db.audit.purge()
    assert await faults(db) == []
    await db.audit.purge()
    assert await faults(db) == []


async def archived(
    digitwin_db_factory: DatabaseFactory, url: str, past: Past, folder: Path
) -> tuple[Database, Path, list[UUID]]:
    db = await digitwin_db_factory(url, audit_key=KEY, audit_archive=folder)
    old = await past(150, 5)
    await past(5, 2)
    await db.audit.record("new", "test", metadata={"a": 1.0})
    assert await db.audit.purge() == 5
    [path] = sorted(folder.iterdir())  # noqa: ASYNC240 - a test may wait for its disk
    return db, path, old


async def test_what_goes_is_archived_and_the_archive_verifies_by_itself(
    digitwin_db_factory: DatabaseFactory, digitwin_url: str, past: Past, tmp_path: Path
) -> None:
    db, path, old = await archived(digitwin_db_factory, digitwin_url, past, tmp_path / "a")
    seen = await archive.verify(path, db.audit._sealing.signers)
    assert (seen.ok, seen.records, seen.signatures) == (True, 5, "checked"), seen.faults
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert sorted(UUID(line["id"]) for line in lines if line["kind"] == "record") == sorted(old)
    assert path.stat().st_mode & 0o777 == 0o600
    assert await faults(db) == []


@pytest.mark.parametrize("broken", ["changed", "removed", "cut off", "forged", "no archive"])
async def test_an_archive_that_was_edited_is_found(
    digitwin_db_factory: DatabaseFactory,
    digitwin_url: str,
    past: Past,
    tmp_path: Path,
    broken: str,
) -> None:
    db, path, _ = await archived(digitwin_db_factory, digitwin_url, past, tmp_path / "a")
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if b'"record"' in line)
    if broken == "changed":
        lines[at] = lines[at].replace(b'"old"', b'"new"')
    elif broken == "removed":
        del lines[at]
    elif broken == "cut off":
        lines = lines[:-1]
    elif broken == "forged":
        lines[1] = lines[1].replace(b'"signature": "', b'"signature": "00')
    else:
        lines = [b'{"kind": "other"}\n']
    with gzip.open(path, "wb") as file:
        file.writelines(lines)
    if broken in {"cut off", "no archive"}:
        with pytest.raises(InvalidInputError, match="not a complete audit archive"):
            await archive.verify(path, db.audit._sealing.signers)
        return
    seen = await archive.verify(path, db.audit._sealing.signers)
    expected = {"changed": "seal", "removed": "seal", "forged": "signature"}[broken]
    assert [fault.kind for fault in seen.faults] == [expected]


async def test_nothing_is_removed_that_could_not_be_archived(
    digitwin_db_factory: DatabaseFactory,
    digitwin_url: str,
    raw: asyncpg.Connection,
    past: Past,
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("no folder")
    db = await digitwin_db_factory(digitwin_url, audit_archive=tmp_path / "file" / "a")
    await past(150, 5)
    await db.audit.record("new", "test")
    with pytest.raises(ConfigurationError, match="archive"):
        await db.audit.purge()
    assert await count(raw, "audit_logs") == 6


async def test_what_came_after_the_archive_is_left_to_the_next_time(
    db: Database, raw: asyncpg.Connection, now: datetime, past: Past
) -> None:
    await past(150, 3)
    await db.audit.seal()
    await past(150, 2)
    assert await purging._purge_batch(db._core, now, 1) == 3
    await sealing.seal(db._core, db.audit._sealing, until=now)
    assert await purging._purge_batch(db._core, now, 1) == 0
    assert await count(raw, "audit_logs") == 2
    assert await db.audit.purge() == 2


@pytest.mark.parametrize("change", ["records = 99", "previous = head", "signature = head"])
async def test_a_seal_that_does_not_verify_is_kept_as_evidence(
    db: Database, raw: asyncpg.Connection, past: Past, change: str
) -> None:
    await past(150, 3)
    await db.audit.seal()
    await db.audit.record("new", "test")
    await db.audit.seal()
    await raw.execute("SET session_replication_role = replica")
    await raw.execute(f"UPDATE audit_seals SET {change} WHERE number = 1")
    assert await db.audit.purge() == 3
    assert await count(raw, "audit_seals") == 2
    assert await faults(db) != []
