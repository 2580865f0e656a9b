"""Who commits late comes into the next batch, whatever the ids and times say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

import asyncpg
import pytest

from digitwin import uuid7
from digitwin.database import Database
from digitwin.testing import DatabaseFactory

PUT = "INSERT INTO audit_logs (id, action, resource) VALUES ($1, 'late', 'test')"


@pytest.fixture
async def other(digitwin_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A second raw connection."""
    other = await asyncpg.connect(digitwin_url)
    yield other
    await other.close()


async def horizon(raw: asyncpg.Connection) -> datetime | None:
    found: datetime | None = await raw.fetchval(
        "SELECT horizon FROM audit_seals ORDER BY number DESC LIMIT 1"
    )
    return found


async def in_order(db: Database, sealed: int) -> None:
    seen = await db.audit.verify()
    assert (seen.ok, seen.sealed) == (True, sealed), seen.faults


async def test_a_late_commit_joins_the_next_batch(
    digitwin_db: Database, raw: asyncpg.Connection
) -> None:
    early = uuid7()
    transaction = raw.transaction()
    await transaction.start()
    await raw.execute(PUT, early)
    await digitwin_db.audit.record("soon", "test")
    assert await digitwin_db.audit.seal() == 1
    await digitwin_db.audit.record("soon", "test")
    assert await digitwin_db.audit.seal() == 1
    await transaction.commit()
    assert await digitwin_db.audit.seal() == 1
    await in_order(digitwin_db, 3)


async def test_a_transaction_that_has_written_nothing_yet_is_waited_for(
    digitwin_db: Database, raw: asyncpg.Connection
) -> None:
    """It has no number of its own, yet its records will be dated by its beginning."""
    transaction = raw.transaction()
    await transaction.start()
    await digitwin_db.audit.record("soon", "test")
    for _ in range(3):
        await digitwin_db.audit.record("soon", "test")
        await digitwin_db.audit.seal()
    await raw.execute(PUT, uuid7())
    await transaction.commit()
    assert await digitwin_db.audit.seal() == 1
    await in_order(digitwin_db, 5)


async def test_one_that_begins_after_the_first_seal_and_outlives_the_second_is_waited_for(
    digitwin_db: Database, raw: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    first, second = raw.transaction(), other.transaction()
    await first.start()
    await digitwin_db.audit.record("soon", "test")
    await digitwin_db.audit.seal()
    await second.start()
    await first.rollback()
    await digitwin_db.audit.record("soon", "test")
    await digitwin_db.audit.seal()
    await other.execute(PUT, uuid7())
    await second.commit()
    assert await digitwin_db.audit.seal() == 1
    await in_order(digitwin_db, 3)


async def test_the_window_closes_behind_whoever_has_ended(
    digitwin_db: Database, raw: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    transaction = raw.transaction()
    await transaction.start()
    await digitwin_db.audit.record("soon", "test")
    await digitwin_db.audit.seal()
    assert await horizon(other) is None
    await transaction.commit()
    assert await digitwin_db.audit.seal() == 0
    moment = await horizon(other)
    assert moment is not None
    for _ in range(2):
        assert await digitwin_db.audit.seal() == 0
    assert await other.fetchval("SELECT count(*) FROM audit_seals") == 2


async def test_a_prepared_transaction_is_waited_for(
    digitwin_db: Database, raw: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    if await raw.fetchval("SHOW max_prepared_transactions") == "0":
        pytest.skip("this server prepares no transactions")
    await raw.execute("BEGIN")
    await raw.execute(PUT, uuid7())
    await raw.execute("PREPARE TRANSACTION 'late'")
    await digitwin_db.audit.record("soon", "test")
    await digitwin_db.audit.seal()
    assert await horizon(other) is None
    await raw.execute("COMMIT PREPARED 'late'")
    assert await digitwin_db.audit.seal() == 1


async def test_what_many_write_meanwhile_is_sealed_once_and_in_order(
    digitwin_db: Database, digitwin_db_factory: DatabaseFactory, digitwin_url: str
) -> None:
    """Writers with short and long transactions, two sealers, and no record in two seals or none."""
    rival = await digitwin_db_factory(digitwin_url)
    written: list[UUID] = []

    async def write(number: int) -> None:
        for _ in range(12):
            async with digitwin_db.transaction():
                id = await digitwin_db.audit.record(f"writer {number}", "test")
                for _ in range(number % 3):
                    await digitwin_db.audit.list(limit=1)
                await digitwin_db.audit.record(f"writer {number}", "test")
            written.append(id)

    async def seal(db: Database, done: asyncio.Event) -> int:
        total = 0
        while not done.is_set():
            total += await db.audit.seal()
        return total

    done = asyncio.Event()
    sealers = [asyncio.create_task(seal(db, done)) for db in (digitwin_db, rival)]
    await asyncio.gather(*(write(number) for number in range(6)))
    done.set()
    total = sum(await asyncio.gather(*sealers))
    total += await digitwin_db.audit.seal()
    assert total == 2 * len(written) == 144
    await in_order(digitwin_db, 144)


async def test_an_erasure_and_a_seal_do_not_pass_each_other(digitwin_db: Database) -> None:
    from digitwin.audit.erasure import pseudonymise

    ada = uuid7()
    await digitwin_db.audit.record("did", "test", user_id=ada)
    async with digitwin_db._core.aside.transaction() as tx:
        assert await pseudonymise(tx, ada) == 1
        assert await digitwin_db.audit.seal() == 0
    assert await digitwin_db.audit.seal() == 1
    await in_order(digitwin_db, 1)


async def test_health_tells_how_old_the_oldest_unsealed_record_is(
    digitwin_db: Database, raw: asyncpg.Connection
) -> None:
    assert (await digitwin_db.health()).audit_unsealed_seconds == 0
    await raw.execute(
        "INSERT INTO audit_logs (id, action, resource, created_at)"
        " VALUES ($1, 'a', 'r', now() - interval '70 seconds')",
        uuid7(),
    )
    age = (await digitwin_db.health()).audit_unsealed_seconds
    assert age is not None
    assert 70 <= age < 100
    await digitwin_db.audit.seal()
    assert (await digitwin_db.health()).audit_unsealed_seconds == 0


async def test_health_goes_on_where_it_may_not_read_the_trail(
    digitwin_db: Database, raw: asyncpg.Connection
) -> None:
    await raw.execute("ALTER TABLE audit_seals RENAME TO elsewhere")
    health = await digitwin_db.health()
    assert (health.ok, health.audit_unsealed_seconds) == (True, None)


async def test_the_background_seals(
    digitwin_db_factory: DatabaseFactory, digitwin_url: str
) -> None:
    db = await digitwin_db_factory(digitwin_url, audit_seal_interval=0.01)
    await db.audit.record("did", "test")
    async with asyncio.timeout(10):
        while not (await db.audit.verify()).sealed:  # noqa: ASYNC110 - each look asks the database
            await asyncio.sleep(0)


async def test_maintain_seals_and_says_how_many(digitwin_db: Database) -> None:
    await digitwin_db.audit.record("did", "test")
    assert (await digitwin_db.maintain()).audit_sealed == 1
