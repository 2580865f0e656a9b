"""A handle behind a network that can fail, and what must hold after every fault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.kernel.connection import dsn
from digitwin.testing import DatabaseFactory
from tests.faults.proxy import Proxy

Whole = Callable[[Database], Awaitable[None]]

PATIENT: dict[str, Any] = {"pool_min": 1, "pool_max": 3, "acquire_timeout": 5}
"""Three connections, two of them for transactions: what is lost is missed at once."""

HASTY = PATIENT | {
    "connect_timeout": 0.5,
    "acquire_timeout": 0.5,
    "statement_timeout": 0.5,
    "drain_timeout": 0.5,
}
"""Bounds short enough for a test to wait them out."""


@pytest.fixture
async def proxy(digitwin_url: str) -> AsyncIterator[Proxy]:
    """The network between the handle and its database."""
    async with Proxy(dsn.parse(digitwin_url)) as proxy:
        yield proxy


@pytest.fixture
async def db(proxy: Proxy, digitwin_db_factory: DatabaseFactory) -> Database:
    """A handle on three connections through the proxy."""
    return await digitwin_db_factory(proxy.url, **PATIENT)


@pytest.fixture
async def hasty(proxy: Proxy, digitwin_db_factory: DatabaseFactory) -> Database:
    """The same with short bounds."""
    return await digitwin_db_factory(proxy.url, **HASTY)


@pytest.fixture
async def admin(digitwin_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of nobody's, past the proxy."""
    connection = await asyncpg.connect(digitwin_url)
    yield connection
    await connection.close()


@pytest.fixture
def whole() -> Whole:
    """Assert that no connection was lost and that this task can go on working."""
    return _whole


async def _whole(db: Database) -> None:
    pool = (await db.health()).pool
    assert (pool.in_use, pool.waiting) == (0, 0)
    assert pool.size == pool.idle
    await _use_everything(db)


async def _use_everything(db: Database) -> None:
    """Hold every connection at once, all but one in transactions, and write."""
    most = db.settings.pool_max
    together = asyncio.Barrier(most)

    async def in_transaction(n: int) -> None:
        async with db.transaction():
            user = await db.users.create(email=f"{n}@example.com", name="Whole")
            await together.wait()
            await db.users.hard_delete(user.id)

    async def alone() -> None:
        await together.wait()
        assert await db.ready()

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        for n in range(most - 1):
            group.create_task(in_transaction(n))
        group.create_task(alone())
    async with db.transaction():
        assert await db.users.find_by_email("0@example.com") is None
