"""Several migrate one database at once, and everything is applied once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg
import pytest

from digitwin.errors import QueryTimeoutError
from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.migrations import applying, files, lock, upgrade
from digitwin.settings import Settings
from tests.migrations import catalog
from tests.migrations.conftest import Done

KNOWN = files.all_migrations()
POLLING = "query LIKE '%pg_try_advisory_xact_lock%'"
WAITING = "wait_event_type = 'Lock'"


async def until(connection: asyncpg.Connection, somebody: str) -> None:
    """Return once another connection to this database is seen doing this."""
    async with asyncio.timeout(20):
        while not await connection.fetchval(  # noqa: ASYNC110 - no event tells
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            f" AND pid <> pg_backend_pid() AND {somebody}"
        ):
            await asyncio.sleep(0.01)


async def in_flight(connection: asyncpg.Connection) -> asyncpg.transaction.Transaction:
    """All migrations as plain Aerich applies them: one transaction, here still open."""
    transaction = connection.transaction()
    await transaction.start()
    for migration in KNOWN:
        await connection.execute(await migration.upgrade())
        await connection.execute(
            "INSERT INTO aerich (version, app, content) VALUES ($1, 'digitwin', '{}')",
            migration.name,
        )
    return transaction


async def test_of_several_one_applies_and_the_others_find_nothing(
    target: Target, auto: Settings, connection: asyncpg.Connection
) -> None:
    results = await asyncio.gather(*[upgrade.upgrade(target, auto) for _ in range(4)])
    names = [migration.name for migration in files.all_migrations()]
    assert sorted(results) == [[], [], [], names]
    assert await connection.fetchval("SELECT count(*) FROM aerich") == len(names)
    assert await catalog.read(connection) == catalog.SNAPSHOT.read_text()


async def test_nothing_is_touched_while_another_migrates(
    target: Target, auto: Settings, connection: asyncpg.Connection
) -> None:
    key = "hashtextextended('digitwin.migrations:public', 0)"
    await connection.execute(f"SELECT pg_advisory_lock({key})")
    waiting = asyncio.create_task(upgrade.ensure(target, auto))
    await until(connection, POLLING)
    assert await connection.fetchval("SELECT to_regclass('users')") is None
    await connection.execute(f"SELECT pg_advisory_unlock({key})")
    await waiting
    assert await connection.fetchval("SELECT to_regclass('users')") == "users"


async def test_waiting_has_an_end(
    target: Target,
    auto: Settings,
    connection: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lock, "LOCK_TIMEOUT", 0.2)
    await connection.execute(
        "SELECT pg_advisory_lock(hashtextextended('digitwin.migrations:public', 0))"
    )
    with pytest.raises(QueryTimeoutError, match="Another process"):
        await upgrade.upgrade(target, auto)


async def test_schemas_of_one_database_do_not_wait_for_each_other(
    target: Target, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        "SELECT pg_advisory_lock(hashtextextended('digitwin.migrations:public', 0))"
    )
    await upgrade.ensure(target, Settings(migrate="auto", schema="twins"))
    assert await connection.fetchval("SELECT to_regclass('twins.users')") is not None


async def test_ours_waits_for_a_plain_aerich_and_finds_nothing(
    target: Target, auto: Settings, connection: asyncpg.Connection, another: asyncpg.Connection
) -> None:
    aerich = await in_flight(another)
    ours = asyncio.create_task(upgrade.upgrade(target, auto))
    await until(connection, WAITING)
    await aerich.commit()
    assert await ours == []
    assert await connection.fetchval("SELECT count(*) FROM aerich") == len(KNOWN)


async def test_ours_goes_on_when_a_plain_aerich_gave_up(
    target: Target, auto: Settings, connection: asyncpg.Connection, another: asyncpg.Connection
) -> None:
    aerich = await in_flight(another)
    ours = asyncio.create_task(upgrade.upgrade(target, auto))
    await until(connection, WAITING)
    await aerich.rollback()
    assert len(await ours) == len(files.all_migrations())
    assert await catalog.read(connection) == catalog.SNAPSHOT.read_text()


async def test_a_plain_aerich_beside_ours_fails_and_then_finds_nothing(
    in_checkout: Callable[..., Done], connection: asyncpg.Connection, another: asyncpg.Connection
) -> None:
    ours = await in_flight(another)
    aerich = asyncio.create_task(asyncio.to_thread(in_checkout, "-m", "aerich", "upgrade"))
    await until(connection, WAITING)
    await ours.commit()
    assert (await aerich).returncode != 0
    assert await connection.fetchval("SELECT count(*) FROM aerich") == len(KNOWN)
    again = await asyncio.to_thread(in_checkout, "-m", "aerich", "upgrade")
    assert "No upgrade items found" in again.stdout
    assert await catalog.read(connection) == catalog.SNAPSHOT.read_text()


async def test_a_migration_stands_in_the_book_once(
    target: Target, auto: Settings, connection: asyncpg.Connection
) -> None:
    """Which undoes a second application, even of one that could run twice."""
    await upgrade.ensure(target, auto)
    with pytest.raises(asyncpg.UniqueViolationError, match="uq_aerich__version"):
        await connection.execute(
            "INSERT INTO aerich (version, app, content) SELECT version, app, content FROM aerich"
        )


async def test_a_busy_table_is_not_waited_for_for_ever(
    target: Target,
    auto: Settings,
    migrated: asyncpg.Connection,
    another: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error names who is in the way."""
    monkeypatch.setattr(applying, "BUSY_TIMEOUT", 0.2)
    async with another.transaction():
        await another.execute("INSERT INTO cache_usage (store, bucket) VALUES ('x', now())")
        with pytest.raises(QueryTimeoutError, match=rf"process {another.get_server_pid()} "):
            await upgrade.downgrade(target, auto)
    assert (await upgrade.history(target, auto))[-1].applied
