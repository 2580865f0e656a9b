"""A scope's one write, cut or frozen at every piece of data, in both directions, on every network.

A read then ends with a right answer or an error that says that it can be retried. A write is
stored, or its outcome is unknown. Nobody else's row is seen, and the next calls work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING

import asyncpg
import pytest

from digitwin.connecting import connect
from digitwin.database import Database
from digitwin.errors import (
    ConnectionFailedError,
    DigiTwinError,
    InvalidInputError,
    OutcomeUnknownError,
    QueryTimeoutError,
)
from digitwin.kernel.connection import dsn
from digitwin.kernel.connection.connections import WHO
from digitwin.kernel.connection.scopes import APPLICATION
from digitwin.kernel.execution import opening
from digitwin.kernel.execution.executor import Executor
from digitwin.models import User
from digitwin.testing import DatabaseFactory
from tests.faults import pgbouncer
from tests.faults.proxy import Proxy

if TYPE_CHECKING:
    from tests.integration.connection.conftest import DebianServer

Call = Callable[["World"], Awaitable[None]]

NETWORKS = ["direct", "tls", "pgbouncer transaction", "pgbouncer session"]
BYTES = 24
"""Of a piece of data: less than a message, so that cuts fall between and within messages."""


@contextmanager
def _pooled(url: str, mode: str) -> Iterator[str]:
    if pgbouncer.version() < pgbouncer.PREPARES:
        pytest.skip("needs PgBouncer 1.21 or newer")
    with pgbouncer.in_front_of(url, mode, default_pool_size=20, max_prepared_statements=50) as at:
        yield at


async def _encrypted(debian: DebianServer) -> str:
    url = f"postgres://trusted@localhost:{debian.port}"
    connection = await asyncpg.connect(f"{url}/twins")
    with suppress(asyncpg.DuplicateDatabaseError):
        await connection.execute("CREATE DATABASE faults")
    await connection.execute("ALTER ROLE trusted CONNECTION LIMIT -1")
    await connection.close()
    async with connect(f"{url}/faults?sslmode=require", migrate="auto") as db:
        await db.maintain()
    return f"{url}/faults"


@pytest.fixture(params=NETWORKS)
async def proxy(request: pytest.FixtureRequest, digitwin_url: str) -> AsyncIterator[Proxy]:
    """The network between the handle and its database."""
    kind, _, mode = request.param.partition(" ")
    if kind == "direct":
        async with Proxy(dsn.parse(digitwin_url)) as proxy:
            yield proxy
    elif kind == "tls":
        url = await _encrypted(request.getfixturevalue("debian"))
        async with Proxy(dsn.parse(url)) as proxy:
            yield proxy
    else:
        with _pooled(digitwin_url, mode) as url:
            async with Proxy(dsn.parse(url)) as proxy:
                yield proxy


class World:
    """A handle behind the proxy, two people, and a way past the proxy."""

    def __init__(self, db: Database, proxy: Proxy, raw: asyncpg.Connection) -> None:
        self.db = db
        self.proxy = proxy
        self.raw = raw

    async def settle(self) -> None:
        await self.raw.execute("SET digitwin.allow_hard_delete = 'on'")
        await self.raw.execute("DELETE FROM user_emails; DELETE FROM users")
        self.ada: User = await self.db.users.create(email="ada@example.com", name="Ada 0")
        await self.db.users.create(email="bob@example.com", name="Bob")
        self.hers: Executor = self.db.for_user(self.ada.id)._core.db
        self.written = 0

    async def read(self) -> None:
        rows = await self.hers.fetch(f"SELECT id, {WHO.removeprefix('SELECT ')} FROM users")
        assert [tuple(row) for row in rows] == [(self.ada.id, APPLICATION, str(self.ada.id))]

    async def write(self) -> None:
        self.written += 1
        tag = await self.hers.execute("UPDATE users SET name = $1", f"Ada {self.written}")
        assert tag == "UPDATE 1"

    async def names(self) -> list[str]:
        rows = await self.raw.fetch("SELECT name FROM users ORDER BY name")
        return [row["name"] for row in rows]

    async def disconnect(self) -> None:
        """Have the next call open a connection."""
        self.proxy.cut()
        async with asyncio.timeout(10):
            while (await self.db.health()).pool.size:
                pass

    async def works(self) -> None:
        """Nothing is lost; a connection whose end was not noticed may cost a call each."""
        for _ in range(self.db.settings.pool_max + 1):
            with suppress(ConnectionFailedError):
                row = await self.db._core.db.fetchrow(WHO)
                await self.read()
                break
        else:
            pytest.fail("no call succeeds any more")
        assert row is not None
        assert (row[0] == APPLICATION, row[1] or None) == (False, None)
        assert self.db._core.pool.pipelines
        pool = (await self.db.health()).pool
        assert (pool.in_use, pool.waiting, pool.size - pool.idle) == (0, 0, 0)


@pytest.fixture
async def world(
    request: pytest.FixtureRequest,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    digitwin_db_factory: DatabaseFactory,
) -> AsyncIterator[World]:
    monkeypatch.setattr(opening, "ANSWER_MARGIN", 0.1)
    encrypted = request.node.callspec.params["proxy"] == "tls"
    db = await digitwin_db_factory(
        proxy.url.replace("disable", "require") if encrypted else proxy.url,
        pool_min=0,
        pool_max=3,
        acquire_timeout=5,
        statement_timeout=0.5 if "frozen" in request.node.name else 2,
        drain_timeout=1,
    )
    raw = await asyncpg.connect(proxy._target.url, ssl="prefer", statement_cache_size=0)
    world = World(db, proxy, raw)
    await world.settle()
    yield world
    proxy.thaw()
    await raw.close()


async def fails_here(world: World, call: Call, passes: int) -> bool:
    """Make the call while the network fails after so many pieces; False if it did not.

    Asserts that the call ends as it may.
    """
    before, error = await world.names(), None
    world.proxy.passes = passes
    try:
        async with asyncio.timeout(20):
            await call(world)
    except DigiTwinError as raised:
        error = raised
    failed, world.proxy.passes = world.proxy.passes is None, None
    world.proxy.thaw()
    await world.works()
    if call is World.read:
        assert error is None or type(error) in (ConnectionFailedError, QueryTimeoutError)
    elif error is None:
        assert await world.names() == [f"Ada {world.written}", "Bob"]
    elif not isinstance(error, OutcomeUnknownError):
        assert isinstance(error, ConnectionFailedError)
        assert error.retryable
        assert await world.names() == before
    assert (await world.names())[1:] == ["Bob"]
    return failed


@pytest.mark.parametrize(
    ("call", "new"),
    [(World.read, False), (World.write, False), (World.write, True)],
    ids=["read", "write", "write on a new connection"],
)
async def test_cut_at_every_piece(world: World, call: Call, new: bool) -> None:
    """On an open connection within messages too; on a new one also while it is made."""
    world.proxy.piece = 4096 if new else BYTES
    for passes in count():
        await (world.disconnect() if new else world.read())
        if not await fails_here(world, call, passes):
            break
    assert passes > 5


@pytest.mark.parametrize("call", [World.read, World.write])
async def test_frozen_at_every_piece(world: World, call: Call) -> None:
    world.proxy.freezes, world.proxy.piece = True, 6 * BYTES
    for passes in count():
        await world.read()
        if not await fails_here(world, call, passes):
            break
    assert passes > 2


async def test_byte_by_byte(world: World) -> None:
    """Also with what makes the connection."""
    world.proxy.piece = 1
    await world.disconnect()
    for _ in range(3):
        await world.read()
        await world.write()
        with pytest.raises(InvalidInputError):
            await world.hers.fetchval("SELECT $1::text::int", "x")
        await world.works()
    assert await world.names() == ["Ada 3", "Bob"]
