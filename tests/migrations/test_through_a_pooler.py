"""Upgrades through PgBouncer, whose server connections outlive the client's transaction."""

from __future__ import annotations

from collections.abc import Iterator

import asyncpg
import pytest

from digitwin.kernel.connection import dsn
from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.migrations import files, upgrade
from digitwin.settings import Settings
from tests.faults import pgbouncer
from tests.migrations import catalog
from tests.migrations.filling import fill
from tests.migrations.test_interrupted import BUILDING, building

NAMES = [migration.name for migration in files.all_migrations()[1:]]


@pytest.fixture
def pooled(url: str) -> Iterator[Target]:
    """The address of a PgBouncer in transaction mode before the database."""
    if pgbouncer.program() is None:
        pytest.skip("pgbouncer is not installed")
    with pgbouncer.in_front_of(url, "transaction", default_pool_size=5) as address:
        yield dsn.parse(address)


async def test_an_upgrade_leaves_no_lock_behind(
    pooled: Target, auto: Settings, connection: asyncpg.Connection
) -> None:
    await fill(connection, 1)
    for _ in range(2):
        assert await upgrade.upgrade(pooled, auto) == NAMES
        assert not await connection.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        )
        assert await upgrade.downgrade(pooled, auto, steps=len(NAMES)) == NAMES[::-1]
    assert await upgrade.upgrade(pooled, auto) == NAMES
    assert await catalog.read(connection) == catalog.SNAPSHOT.read_text()


async def test_a_killed_upgrade_leaves_no_lock_behind(
    pooled: Target, auto: Settings, connection: asyncpg.Connection, another: asyncpg.Connection
) -> None:
    await fill(connection, 1)
    async with building(connection, another, pooled.url) as process:
        process.kill()
        process.wait()
    await connection.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {BUILDING}"
    )
    assert await upgrade.upgrade(pooled, auto) == NAMES
    assert await catalog.read(connection) == catalog.SNAPSHOT.read_text()
