"""What was written of the chain outside the database finds who rewrote all of it, key and all."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from digitwin.audit.checkpoints import FileCheckpointSink
from digitwin.database import Database
from digitwin.testing import DatabaseFactory

KEY = "ZGlnaXR3aW4gdGVzdHMgb25seSwgbm90IGEgc2VjcmU="


@pytest.fixture
async def db(digitwin_db_factory: DatabaseFactory, digitwin_url: str, tmp_path: Path) -> Database:
    heads = tmp_path / "heads"
    return await digitwin_db_factory(digitwin_url, audit_key=KEY, audit_checkpoints=heads)


async def sealed(db: Database) -> None:
    await db.audit.record("did", "test")
    await db.audit.seal()


async def kinds(db: Database) -> set[str]:
    return {fault.kind for fault in (await db.audit.verify()).faults}


async def test_every_head_is_written_outside(db: Database, tmp_path: Path) -> None:
    for _ in range(3):
        await sealed(db)
    assert [number async for number, _ in FileCheckpointSink(tmp_path / "heads").read()] == [
        1,
        2,
        3,
    ]
    assert await kinds(db) == set()


async def test_what_was_sealed_while_it_was_away_is_made_up_for(
    db: Database, digitwin_db_factory: DatabaseFactory, digitwin_url: str, tmp_path: Path
) -> None:
    without = await digitwin_db_factory(digitwin_url, audit_key=KEY)
    await sealed(without)
    await sealed(db)
    assert [number async for number, _ in FileCheckpointSink(tmp_path / "heads").read()] == [1, 2]


async def test_a_chain_rewritten_with_the_key_is_found(
    db: Database,
    admin: asyncpg.Connection,
    digitwin_db_factory: DatabaseFactory,
    digitwin_url: str,
) -> None:
    await sealed(db)
    await admin.execute("UPDATE audit_logs SET action = 'nothing'")
    await admin.execute("TRUNCATE audit_seals, audit_leaves")
    thief = await digitwin_db_factory(digitwin_url, audit_key=KEY)
    await thief.audit.seal()
    assert await kinds(thief) == set()
    assert await kinds(db) == {"checkpoint"}


async def test_an_end_of_the_chain_that_is_gone_is_missed(
    db: Database, admin: asyncpg.Connection
) -> None:
    for _ in range(3):
        await sealed(db)
    await admin.execute(
        "DELETE FROM audit_logs WHERE id = (SELECT max(id::text) FROM audit_logs)::uuid"
    )
    await admin.execute("DELETE FROM audit_leaves WHERE seal = 3")
    await admin.execute("DELETE FROM audit_seals WHERE number = 3")
    assert await kinds(db) == {"checkpoint"}


async def test_a_file_that_is_gone_is_missed(db: Database, tmp_path: Path) -> None:
    await sealed(db)
    (tmp_path / "heads").unlink()
    assert await kinds(db) == {"checkpoint"}


async def test_after_a_lawful_removal_it_still_agrees(
    db: Database, raw: asyncpg.Connection
) -> None:
    for _ in range(3):
        await sealed(db)
    assert await db.audit.purge(0) == 3
    await sealed(db)
    assert await kinds(db) == set()
    assert await raw.fetchval("SELECT min(number) FROM audit_seals") == 3
