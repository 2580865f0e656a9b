"""An upgrade that was killed at any moment is continued by running it again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from digitwin.errors import InvalidStateError
from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.migrations import applying, files, lock, upgrade
from digitwin.settings import Settings
from tests.migrations import catalog
from tests.migrations.conftest import AddNext
from tests.migrations.filling import fill
from tests.migrations.test_concurrent_upgrades import until
from tests.support import checkout

FIRST, *LATER = files.all_migrations()
NAMES = [migration.name for migration in LATER]
BUILDING = "query LIKE 'CREATE%INDEX CONCURRENTLY%' AND state = 'active'"
UPGRADE = (sys.executable, "-c", "from digitwin.cli.app import main; main()", "db", "upgrade")


@pytest.fixture
async def old(connection: asyncpg.Connection) -> asyncpg.Connection:
    """A filled database of the first release."""
    await fill(connection, 1)
    return connection


async def test_it_goes_on_after_each_step(
    old: asyncpg.Connection, target: Target, auto: Settings
) -> None:
    for number, migration in enumerate(LATER):
        assert migration.steps
        for done in range(len(migration.steps)):
            for before in LATER[:number]:
                await applying.apply(old, before, alone=False)
            for step in migration.steps[:done]:
                await applying._run(old, step)
            assert await upgrade.upgrade(target, auto) == NAMES[number:]
            assert await catalog.read(old) == catalog.SNAPSHOT.read_text(), (migration.name, done)
            await upgrade.downgrade(target, auto, steps=len(NAMES), lose_data=True)


async def test_each_step_can_run_twice(old: asyncpg.Connection) -> None:
    for migration in LATER:
        for step in migration.steps or ():
            for _ in range(2):
                await applying._run(old, step)
    assert await catalog.read(old) == catalog.SNAPSHOT.read_text()


async def test_a_half_built_index_is_built_again(
    old: asyncpg.Connection, target: Target, auto: Settings, add_next: AddNext
) -> None:
    await upgrade.upgrade(target, auto)
    await old.execute("CREATE INDEX ix_users__later ON users (created_at)")
    await old.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_users__later'::regclass"
    )
    add_next("CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_users__later ON users (created_at)")
    await upgrade.upgrade(target, auto)
    assert await old.fetchval(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_users__later'::regclass"
    )


@asynccontextmanager
async def building(
    watcher: asyncpg.Connection, blocker: asyncpg.Connection, url: str
) -> AsyncIterator[subprocess.Popen[str]]:
    """A process in the middle of an upgrade: its index waits for an open transaction."""
    async with blocker.transaction(isolation="repeatable_read"):
        await blocker.fetchval("SELECT 1")
        process = subprocess.Popen(  # noqa: ASYNC220 - it is killed
            UPGRADE,
            cwd=checkout.root(),
            env=os.environ | {"DIGITWIN_DATABASE_URL": url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            await until(watcher, BUILDING)
            yield process
        finally:
            process.kill()
            process.communicate()


async def test_it_goes_on_after_a_kill(
    old: asyncpg.Connection, another: asyncpg.Connection, url: str, target: Target, auto: Settings
) -> None:
    async with building(old, another, url) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        # as the server finds it when it writes to the client: without this, in its own time
        await old.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {BUILDING}"
        )
    assert await upgrade.upgrade(target, auto) == NAMES
    assert await catalog.read(old) == catalog.SNAPSHOT.read_text()


async def test_it_goes_on_beside_the_index_that_a_killed_process_still_builds(
    old: asyncpg.Connection, another: asyncpg.Connection, url: str, target: Target, auto: Settings
) -> None:
    """The server does not know yet that nobody waits for it."""
    async with building(old, another, url) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        going_on = asyncio.create_task(upgrade.upgrade(target, auto))
        await until(old, "query LIKE '%pg_stat_progress_create_index%'")
    assert await going_on == NAMES
    assert await catalog.read(old) == catalog.SNAPSHOT.read_text()


async def test_two_rows_of_one_id_stop_it_with_what_to_do(
    old: asyncpg.Connection, target: Target, auto: Settings
) -> None:
    first = await old.fetchval("SELECT id FROM consents LIMIT 1")
    await old.execute("UPDATE consents SET id = $1", first)
    with pytest.raises(InvalidStateError, match="Rows of consents violate") as refused:
        await upgrade.upgrade(target, auto)
    assert str(first) not in repr(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.details["constraint"] == "uq_consents__id"
    assert await old.fetchval("SELECT to_regclass('uq_consents__id')") is None
    await old.execute("UPDATE consents SET id = user_id")
    assert await upgrade.upgrade(target, auto) == NAMES


async def test_nobody_waits_for_the_lock_of_a_migration(
    old: asyncpg.Connection, another: asyncpg.Connection
) -> None:
    """Its transaction stays open, but holds no snapshot and no table."""
    async with lock.held(another, "public"):
        keeper = await old.fetchrow(
            "SELECT backend_xid, backend_xmin FROM pg_stat_activity WHERE pid = $1",
            another.get_server_pid(),
        )
        assert tuple(keeper) == (None, None)
        await old.execute("CREATE INDEX CONCURRENTLY ix_users__later ON users (created_at)")


async def test_the_lock_of_a_machine_that_vanished_ends(
    old: asyncpg.Connection, another: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_BOUND", "SET LOCAL idle_in_transaction_session_timeout = 50")
    async with lock.held(another, "public"):
        await until(old, "false OR NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')")
