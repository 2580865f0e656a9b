"""Empty databases on the embedded PostgreSQL 18 and on Debian's 15."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from digitwin.kernel.connection import dsn
from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.migrations import upgrade
from digitwin.servers import embedded
from digitwin.settings import Settings
from tests.migrations import next_migration
from tests.support import checkout

DEBIAN = Path("/usr/lib/postgresql/15/bin")

AddNext = Callable[..., None]
Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="session", params=["embedded 18", "Debian 15"])
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server's URL, for a superuser."""
    folder = Path(tempfile.mkdtemp(prefix="digitwin-migrations-"))
    with suppress(FileNotFoundError):  # the embedded server takes its socket along as it goes
        yield from _embedded(folder) if request.param == "embedded 18" else _debian(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _embedded(folder: Path) -> Iterator[str]:
    if not embedded.is_installed():
        pytest.skip("needs digitwin[embedded]")
    running = asyncio.run(embedded.acquire(folder, keep=True))
    asyncio.run(running.release())
    yield running.url
    asyncio.run(embedded.stop(folder))


def _debian(folder: Path) -> Iterator[str]:
    if not (DEBIAN / "postgres").exists():
        pytest.skip("Debian's postgresql-15 is not installed")
    owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    if owner is not None:
        shutil.chown(folder, owner.pw_uid, owner.pw_gid)

    def program(name: str, *arguments: str) -> None:
        subprocess.run(
            [str(DEBIAN / name), "-D", str(folder / "data"), *arguments],
            cwd=folder,
            user=owner.pw_uid if owner else None,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    program("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C")
    options = f"-c listen_addresses='' -c fsync=off -k {folder}"
    program("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
    yield f"postgresql://postgres@/postgres?host={folder}"
    program("pg_ctl", "-w", "-m", "immediate", "stop")


@pytest.fixture
async def url(server: str) -> AsyncIterator[str]:
    """The URL of an empty database."""
    name = f"migrations_{uuid4().hex}"
    keeper = await asyncpg.connect(server)
    await keeper.execute(f"CREATE DATABASE {name}")
    yield server.replace("/postgres?", f"/{name}?")
    await keeper.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await keeper.close()


@pytest.fixture
def target(url: str) -> Target:
    return dsn.parse(url)


@pytest.fixture
def auto() -> Settings:
    return Settings(migrate="auto")


@pytest.fixture
async def connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the database, as an administrator would have."""
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest.fixture
async def another(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A second one: a transaction sees no news of who waits."""
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest.fixture
async def migrated(
    target: Target, auto: Settings, connection: asyncpg.Connection
) -> asyncpg.Connection:
    """The same, after the database was brought up to date."""
    await upgrade.ensure(target, auto)
    return connection


@pytest.fixture
def in_checkout(url: str) -> Callable[..., Done]:
    """Run a program of this environment in the checkout, with the URL in its environment."""
    root = checkout.root()

    def run(*command: str, cwd: Path = root, **variables: str) -> Done:
        return subprocess.run(
            [sys.executable, *command],
            cwd=cwd,
            env=os.environ | {"DIGITWIN_DATABASE_URL": url} | variables,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )

    return run


@pytest.fixture
def add_next(tmp_path: Path) -> Iterator[AddNext]:
    """Add a migration of these steps to those of the package, for this test alone."""
    with pytest.MonkeyPatch.context() as patch:

        def add(*steps: str, down: str = "SELECT 1", loses: dict[str, str] | None = None) -> None:
            next_migration.add(patch, tmp_path, steps, down, loses)

        yield add
    next_migration.forget()
