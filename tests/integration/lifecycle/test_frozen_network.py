"""On a frozen network every call ends within its bound, and the handle recovers with the network.

The bounds are half a second each (``hasty``); what a client adds to the server's own limits,
and what giving a connection back may take, is a second each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import (
    ConnectionFailedError,
    DigiTwinError,
    OutcomeUnknownError,
    PoolTimeoutError,
)
from digitwin.kernel.connection.pool import RELEASE_TIMEOUT
from digitwin.kernel.execution.opening import ANSWER_MARGIN
from digitwin.testing import DatabaseFactory
from tests.faults.proxy import Proxy
from tests.integration.lifecycle.conftest import HASTY

Whole = Callable[[Database], Awaitable[None]]

STATEMENT = 0.5 + ANSWER_MARGIN
SLACK = 0.5


@pytest.fixture
async def db(hasty: Database) -> Database:
    """With every connection open, so that none is made on the frozen network."""
    await asyncio.gather(*(hasty.users.count() for _ in range(hasty.settings.pool_max)))
    return hasty


async def read(db: Database) -> None:
    await db.users.count()


async def write(db: Database) -> None:
    await db.users.create(email="ada@example.com", name="Ada")


async def begin(db: Database) -> None:
    async with db.transaction():
        pass


@pytest.mark.parametrize("call", [read, write, begin])
async def test_a_call_ends_and_the_handle_recovers(
    db: Database, proxy: Proxy, whole: Whole, call: Callable[[Database], Awaitable[None]]
) -> None:
    proxy.freeze()
    async with asyncio.timeout(STATEMENT + RELEASE_TIMEOUT + SLACK):
        with pytest.raises(ConnectionFailedError):
            await call(db)
    proxy.thaw()
    await whole(db)


async def test_a_write_is_of_unknown_outcome(db: Database, proxy: Proxy) -> None:
    proxy.freeze()
    with pytest.raises(OutcomeUnknownError):
        await write(db)


async def test_frozen_in_the_body_it_ends_in_two_bounds(
    db: Database, proxy: Proxy, whole: Whole
) -> None:
    """One for the statement, and a shorter one for the roll-back."""
    async with asyncio.timeout(STATEMENT + 2 * RELEASE_TIMEOUT + SLACK):
        with pytest.raises(ConnectionFailedError):
            async with db.transaction():
                await db.users.count()
                proxy.freeze()
                await write(db)
    proxy.thaw()
    assert await db.users.count() == 0
    await whole(db)


async def test_frozen_at_the_commit_the_outcome_is_unknown(
    db: Database, proxy: Proxy, whole: Whole
) -> None:
    async with asyncio.timeout(STATEMENT + RELEASE_TIMEOUT + SLACK):
        with pytest.raises(OutcomeUnknownError):
            async with db.transaction():
                proxy.freeze()
    proxy.thaw()
    await whole(db)


async def test_many_callers_end_together(db: Database, proxy: Proxy, whole: Whole) -> None:
    """Those who get no connection wait their own half second, not one another's."""
    proxy.freeze()
    async with asyncio.timeout(0.5 + STATEMENT + RELEASE_TIMEOUT + SLACK):
        faults = await asyncio.gather(*(read(db) for _ in range(30)), return_exceptions=True)
    assert all(isinstance(fault, ConnectionFailedError) for fault in faults)
    assert sum(isinstance(fault, PoolTimeoutError) for fault in faults) >= 20
    proxy.thaw()
    await whole(db)


async def test_a_deadline_of_the_callers_holds(db: Database, proxy: Proxy, whole: Whole) -> None:
    """Plus the second that giving the connection back may take."""
    proxy.freeze()
    async with asyncio.timeout(0.2 + RELEASE_TIMEOUT + SLACK):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await read(db)
    proxy.thaw()
    await whole(db)


async def test_a_new_connection_is_not_waited_for_beyond_connect_timeout(
    proxy: Proxy, hasty: Database
) -> None:
    async with hasty.transaction():
        proxy.freeze()
        async with asyncio.timeout(0.5 + SLACK):
            with pytest.raises(ConnectionFailedError):
                await asyncio.ensure_future(hasty.limits.consume("a", "b", limit=1, window=1))
        proxy.thaw()


async def test_health_and_ready_answer(db: Database, proxy: Proxy) -> None:
    proxy.freeze()
    async with asyncio.timeout(0.5 + SLACK):
        health = await db.health()
    assert not health.ok
    assert health.pool.size == db.settings.pool_max
    async with asyncio.timeout(STATEMENT + RELEASE_TIMEOUT + SLACK):
        assert not await db.ready()


async def test_the_handle_closes(db: Database, proxy: Proxy) -> None:
    proxy.freeze()
    call = asyncio.ensure_future(read(db))
    async with asyncio.timeout(2 * 0.5 + STATEMENT + RELEASE_TIMEOUT + SLACK):
        await db.close()
        with pytest.raises(DigiTwinError):
            await call


async def test_frozen_while_a_new_server_is_asked_for_its_role(
    proxy: Proxy, admin: asyncpg.Connection, digitwin_db_factory: DatabaseFactory
) -> None:
    """A server that reports itself read-only is asked again: a pooler's report may be old."""
    url = f"{proxy.url}&target_session_attrs=read-write"
    db = await digitwin_db_factory(url, **HASTY | {"pool_min": 0})
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    proxy.cut()
    asked = proxy.hold("pg_is_in_recovery")
    async with asyncio.timeout(2 * HASTY["connect_timeout"] + RELEASE_TIMEOUT + SLACK):
        with pytest.raises(ConnectionFailedError, match="connect_timeout"):
            await db.users.count()
    assert asked.seen.is_set()
    asked.release()
    assert (await db.health()).pool.in_use == 0
