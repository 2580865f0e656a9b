"""Upgrades through PgBouncer, whose server connections outlive the client's transaction."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from digitwin.kernel.connection import dsn
from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.migrations import files, upgrade
from digitwin.settings import Settings
from tests.migrations import catalog
from tests.migrations.filling import fill
from tests.migrations.test_interrupted import BUILDING, building

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
NAMES = [migration.name for migration in files.all_migrations()[1:]]
CONFIGURATION = """\
[databases]
{name} = host={host} port={port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 5
ignore_startup_parameters = search_path,statement_timeout,lock_timeout,\
idle_in_transaction_session_timeout
"""


@pytest.fixture
async def pooled(target: Target) -> AsyncIterator[Target]:
    """The address of a PgBouncer in transaction mode before the database."""
    if PROGRAM is None:
        pytest.skip("pgbouncer is not installed")
    assert target.host is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="digitwin-pgbouncer-"))
    folder.chmod(0o755)  # noqa: ASYNC240 - PgBouncer does not run as root
    file = folder / "pgbouncer.ini"
    file.write_text(
        CONFIGURATION.format(
            name=target.database, host=target.host, port=target.port, listen=listen
        )
    )
    owner = pwd.getpwuid(os.stat(target.host).st_uid)
    process = subprocess.Popen(  # noqa: ASYNC220 - it is killed
        [PROGRAM, "-q", str(file)],
        user=owner.pw_uid if os.geteuid() == 0 else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"postgresql://postgres@127.0.0.1:{listen}/{target.database}"
    try:
        async with asyncio.timeout(20):
            while not await _answers(url):  # noqa: ASYNC110 - a process starts
                await asyncio.sleep(0.05)
        yield dsn.parse(url)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


async def _answers(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url)
    except OSError:
        return False
    await connection.close()
    return True


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
