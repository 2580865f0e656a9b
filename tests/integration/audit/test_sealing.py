"""Seals: what one covers, who comes into the next, and what shows when the trail was edited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin import uuid7
from digitwin.audit import sealing
from digitwin.audit.erasure import pseudonymise
from digitwin.database import Database
from digitwin.testing import DatabaseFactory

Past = Callable[..., Awaitable[list[UUID]]]
KEY = "ZGlnaXR3aW4gdGVzdHMgb25seSwgbm90IGEgc2VjcmU="
OTHER_KEY = "b3RoZXIga2V5LCBhbHNvIGZvciB0ZXN0cyBvbmx5IC4="
FULL: dict[str, Any] = {
    "user_id": uuid7(),
    "actor_id": uuid7(),
    "resource_id": "r-1",
    "ip_address": "192.0.2.7",
    "user_agent": "agent",
    "metadata": {"a": 1.0, "b": ["ü", None]},
}


@pytest.fixture
async def db(digitwin_db_factory: DatabaseFactory, digitwin_url: str) -> Database:
    """A handle with a key, on the database of ``raw``."""
    return await digitwin_db_factory(digitwin_url, audit_key=KEY)


async def recorded(db: Database, count: int = 3) -> list[UUID]:
    return [await db.audit.record(f"step {n}", "test", **FULL) for n in range(count)]


async def faults(db: Database) -> list[tuple[str, UUID | None]]:
    return [(fault.kind, fault.record_id) for fault in (await db.audit.verify()).faults]


async def sealed(db: Database, count: int = 3) -> list[UUID]:
    ids = await recorded(db, count)
    assert await db.audit.seal() == count
    return ids


async def test_a_sealed_trail_is_in_order(db: Database) -> None:
    await sealed(db, 4)
    await sealed(db, 3)
    await recorded(db, 2)
    seen = await db.audit.verify()
    assert (seen.ok, seen.records, seen.sealed, seen.seals) == (True, 9, 7, 2), seen.faults
    assert seen.signatures == "checked"


async def test_nothing_new_makes_no_seal(db: Database) -> None:
    await sealed(db)
    assert await db.audit.seal() == 0
    assert (await db.audit.verify()).seals == 1


async def test_batches_are_bounded_and_chained(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "BATCH", 4)
    await recorded(db, 10)
    assert await db.audit.seal() == 10
    seen = await db.audit.verify()
    assert (seen.ok, seen.seals, seen.sealed) == (True, 3, 10), seen.faults


@pytest.mark.parametrize(
    "change",
    [
        "action = 'step X'",
        "resource = 'tesu'",
        "result = 'denied'",
        "user_agent = 'agenu'",
        "ip_address = '192.0.2.8'",
        "resource_id = 'r-2'",
        "resource_id = NULL",
        "actor_id = user_id",
        "user_id = actor_id",
        """metadata = '{"a": 1.1, "b": ["ü", null]}'""",
        "created_at = created_at + interval '1 microsecond'",
    ],
)
async def test_one_changed_character_is_found(
    db: Database, admin: asyncpg.Connection, change: str
) -> None:
    ids = await sealed(db)
    await admin.execute(f"UPDATE audit_logs SET {change} WHERE id = $1", ids[1])
    assert await faults(db) == [("changed", ids[1])]


async def test_one_removed_row_is_found(db: Database, admin: asyncpg.Connection) -> None:
    ids = await sealed(db)
    await admin.execute("DELETE FROM audit_logs WHERE id = $1", ids[1])
    assert await faults(db) == [("removed", ids[1])]


async def test_one_inserted_row_is_found(db: Database, admin: asyncpg.Connection) -> None:
    ids = await sealed(db)
    made_up = UUID(int=ids[1].int + 1)
    await admin.execute(
        "INSERT INTO audit_logs (id, action, resource, created_at)"
        " SELECT $1, action, resource, created_at FROM audit_logs WHERE id = $2",
        *(made_up, ids[1]),
    )
    assert await faults(db) == [("inserted", made_up)]
    await db.audit.seal()
    assert await faults(db) == [("inserted", made_up)]


async def test_what_was_inserted_is_found_though_a_removal_sealed_it(
    db: Database, admin: asyncpg.Connection
) -> None:
    """What is to be removed is sealed before, however late it turned up."""
    ids = await sealed(db)
    made_up = UUID(int=ids[1].int + 1)
    await admin.execute(
        "INSERT INTO audit_logs (id, action, resource, created_at)"
        " SELECT $1, action, resource, created_at FROM audit_logs WHERE id = $2",
        *(made_up, ids[1]),
    )
    assert await sealing.seal(db._core, db.audit._sealing, until=sealing.MAX_TIME) == 1
    assert await faults(db) == [("inserted", made_up)]


async def test_a_second_row_with_a_sealed_id_is_found(
    db: Database, admin: asyncpg.Connection
) -> None:
    ids = await sealed(db)
    await admin.execute(
        "INSERT INTO audit_logs (id, action, resource) VALUES ($1, 'other', 'test')", ids[1]
    )
    assert ("inserted", ids[1]) in await faults(db)


@pytest.mark.parametrize("columns", ["action", "id", "created_at", "action, result, created_at"])
async def test_two_swapped_rows_are_found(
    db: Database, admin: asyncpg.Connection, columns: str
) -> None:
    ids = await sealed(db)
    theirs = ", ".join(f"other.{name.strip()}" for name in columns.split(","))
    await admin.execute("SET CONSTRAINTS ALL DEFERRED")
    await admin.execute("ALTER TABLE audit_logs DROP CONSTRAINT audit_logs_pkey")
    await admin.execute(
        f"UPDATE audit_logs AS one SET ({columns}) = ROW({theirs}) FROM audit_logs AS other"
        " WHERE one.id = ANY($1) AND other.id = ANY($1) AND one.id <> other.id",
        [ids[0], ids[2]],
    )
    assert {kind for kind, _ in await faults(db)} <= {"reordered", "changed"}
    assert {id for _, id in await faults(db)} == {ids[0], ids[2]}
    if columns == "id":
        assert {kind for kind, _ in await faults(db)} == {"reordered"}


async def test_two_swapped_leaves_are_found(db: Database, admin: asyncpg.Connection) -> None:
    ids = await sealed(db)
    await admin.execute("UPDATE audit_leaves SET place = 9 WHERE record_id = $1", ids[0])
    await admin.execute("UPDATE audit_leaves SET place = 1 WHERE record_id = $1", ids[2])
    await admin.execute("UPDATE audit_leaves SET place = 3 WHERE record_id = $1", ids[0])
    assert sorted(await faults(db)) == [("reordered", id) for id in (ids[0], ids[2])]


async def test_a_record_removed_with_its_leaf_is_found(
    db: Database, admin: asyncpg.Connection
) -> None:
    ids = await sealed(db)
    for table, column in {"audit_logs": "id", "audit_leaves": "record_id"}.items():
        await admin.execute(f"DELETE FROM {table} WHERE {column} = $1", ids[1])
    [fault] = (await db.audit.verify()).faults
    assert (fault.kind, fault.record_id) == ("seal", None)
    assert "over 3 records, and 2 are there" in fault.detail


async def test_a_seal_that_was_edited_is_found(db: Database, admin: asyncpg.Connection) -> None:
    await sealed(db)
    await admin.execute("UPDATE audit_seals SET created_at = created_at - interval '1 day'")
    assert await faults(db) == [("seal", None)]


async def test_a_seal_that_is_gone_is_found(db: Database, admin: asyncpg.Connection) -> None:
    for _ in range(3):
        await sealed(db)
    await admin.execute("DELETE FROM audit_seals WHERE number = 2")
    details = [fault.detail for fault in (await db.audit.verify()).faults if fault.kind == "chain"]
    assert details == ["seal 2: missing, and not covered by a checkpoint"]


async def test_a_chain_rewritten_without_the_key_is_found(
    db: Database, digitwin_db_factory: DatabaseFactory, digitwin_url: str, admin: asyncpg.Connection
) -> None:
    await sealed(db)
    await admin.execute("UPDATE audit_logs SET action = 'nothing'")
    await admin.execute("TRUNCATE audit_seals, audit_leaves")
    forger = await digitwin_db_factory(digitwin_url)
    await forger.audit.seal()
    assert (await forger.audit.verify()).ok
    assert await faults(db) == [("signature", None)]
    rival = await digitwin_db_factory(digitwin_url, audit_key=OTHER_KEY)
    await admin.execute("TRUNCATE audit_seals, audit_leaves")
    await rival.audit.seal()
    assert (await rival.audit.verify()).ok
    assert await faults(db) == [("signature", None)]


async def test_the_trail_verifies_after_keys_were_changed(
    db: Database, digitwin_db_factory: DatabaseFactory, digitwin_url: str
) -> None:
    await sealed(db)
    rotated = await digitwin_db_factory(
        digitwin_url, audit_key=OTHER_KEY, audit_keys_retired=KEY, audit_signature="ed25519"
    )
    await sealed(rotated)
    seen = await rotated.audit.verify()
    assert (seen.ok, seen.seals, seen.signatures) == (True, 2, "checked"), seen.faults
    assert await faults(db) == [("signature", None)]


async def test_an_auditor_verifies_with_the_public_key_alone(
    digitwin_db_factory: DatabaseFactory, digitwin_url: str
) -> None:
    service = await digitwin_db_factory(digitwin_url, audit_key=KEY, audit_signature="ed25519")
    await sealed(service)
    signer = service.audit._sealing.signers.current()
    public = signer.public_key  # type: ignore[union-attr]
    auditor = await digitwin_db_factory(digitwin_url, audit_public_keys=public)
    seen = await auditor.audit.verify()
    assert (seen.ok, seen.signatures) == (True, "checked")


async def test_a_trail_without_a_key_says_that_nothing_is_signed(digitwin_db: Database) -> None:
    await sealed(digitwin_db)
    seen = await digitwin_db.audit.verify()
    assert (seen.ok, seen.signatures) == (True, "none")


async def test_the_trail_verifies_after_an_erasure(db: Database) -> None:
    await sealed(db)
    await recorded(db)
    async with db._core.aside.transaction() as tx:
        assert await pseudonymise(tx, FULL["actor_id"]) == 6
    async with db._core.aside.transaction() as tx:
        assert await pseudonymise(tx, FULL["user_id"]) == 6
    seen = await db.audit.verify()
    assert (seen.ok, seen.erased) == (True, 3), seen.faults
    await db.audit.seal()
    assert (await db.audit.verify()).ok


async def test_what_was_erased_cannot_be_filled_with_something_else(
    db: Database, admin: asyncpg.Connection
) -> None:
    ids = await sealed(db, 1)
    async with db._core.aside.transaction() as tx:
        await pseudonymise(tx, FULL["user_id"])
    await admin.execute("UPDATE audit_logs SET resource_id = 'another'")
    assert await faults(db) == [("changed", ids[0])]


async def test_a_short_value_cannot_be_guessed(db: Database, admin: asyncpg.Connection) -> None:
    """Equal values have commitments that differ, and without its salt none can be tried."""
    await sealed(db, 2)
    one, two = await admin.fetch("SELECT commitments, salts FROM audit_leaves")
    assert not {one[0][at : at + 32] for at in range(0, 192, 32)} & {
        two[0][at : at + 32] for at in range(0, 192, 32)
    }
    async with db._core.aside.transaction() as tx:
        await pseudonymise(tx, FULL["user_id"])
    for salts in await admin.fetch("SELECT salts FROM audit_leaves"):
        assert salts[0][:16] == salts[0][32:48] == salts[0][80:] == bytes(16)
        assert salts[0][16:32] != bytes(16)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM audit_seals",
        "DELETE FROM audit_leaves",
        "UPDATE audit_seals SET records = 0",
        "UPDATE audit_leaves SET place = place + 1",
        "UPDATE audit_leaves SET salts = decode(repeat('00', 96), 'hex')",
        "TRUNCATE audit_seals",
        "TRUNCATE audit_leaves",
        "TRUNCATE audit_checkpoints",
    ],
)
async def test_sql_cannot_change_the_seals(
    db: Database, raw: asyncpg.Connection, change: str
) -> None:
    await sealed(db)
    with pytest.raises(asyncpg.RaiseError, match="refused"):
        await raw.execute(change)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_seals SET records = 0",
        "UPDATE audit_leaves SET place = place + 1",
        "UPDATE audit_leaves SET salts = decode(repeat('01', 96), 'hex')",
    ],
)
async def test_of_a_seal_nothing_changes_but_salts_that_go(
    db: Database, raw: asyncpg.Connection, change: str
) -> None:
    await sealed(db)
    with pytest.raises(asyncpg.RaiseError, match="refused"):
        async with raw.transaction():
            await raw.execute("SET LOCAL digitwin.allow_hard_delete = 'on'")
            await raw.execute(change)
