"""A full pool: a bounded wait, and room for short calls whatever transactions do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from digitwin.database import Database
from digitwin.errors import PoolTimeoutError
from digitwin.testing import DatabaseFactory

Whole = Callable[[Database], Awaitable[None]]


@pytest.fixture
async def four(digitwin_db_factory: DatabaseFactory) -> Database:
    """A handle on four connections, for which nobody waits long."""
    return await digitwin_db_factory(pool_max=4, acquire_timeout=0.3)


@asynccontextmanager
async def occupied(db: Database) -> AsyncIterator[None]:
    """Every connection that transactions may have is in one."""
    count = db.settings.pool_max - 1
    inside, leave = asyncio.Barrier(count + 1), asyncio.Event()

    async def occupy() -> None:
        async with db.transaction():
            await inside.wait()
            await leave.wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(occupy())
        await inside.wait()
        yield
        leave.set()


async def test_transactions_leave_one_connection_to_short_calls(
    four: Database, whole: Whole
) -> None:
    async with occupied(four):
        assert (await four.health()).pool.in_use == 3
        with pytest.raises(PoolTimeoutError) as raised:
            async with four.transaction():
                pass
        assert raised.value.retryable
        assert raised.value.details == {"pool_max": 4, "acquire_timeout": 0.3}
        assert await asyncio.gather(*(four.users.count() for _ in range(20))) == [0] * 20
    await whole(four)


async def test_streams_count_as_transactions(four: Database, whole: Whole) -> None:
    await four.users.create(email="ada@example.com", name="Ada")
    streams = [four.users.stream() for _ in range(3)]
    for stream in streams:
        await anext(stream)
    assert (await four.health()).pool.in_use == 3
    with pytest.raises(PoolTimeoutError):
        await anext(four.users.stream())
    assert await four.users.count() == 1
    for stream in streams:
        await stream.aclose()
    await whole(four)


async def test_a_stream_that_is_left_early_gives_its_connection_back(
    four: Database, whole: Whole
) -> None:
    await four.users.create(email="ada@example.com", name="Ada")
    for _ in range(8):
        async for _ in four.users.stream():
            break
    async with asyncio.timeout(5):  # the event loop closes what nobody holds any more
        while (await four.health()).pool.in_use:
            pass
    await whole(four)


async def test_eight_transactions_on_four_connections_each_ask_the_limiter(
    digitwin_db_factory: DatabaseFactory, whole: Whole
) -> None:
    db = await digitwin_db_factory(pool_max=4, acquire_timeout=5)

    async def ask(n: int) -> bool:
        async with db.transaction():
            await db.users.create(email=f"caller{n}@example.com", name="Ada")
            return bool(await db.limits.consume("ada", "/chat", limit=100, window=60))

    async with asyncio.timeout(5):
        assert await asyncio.gather(*(ask(n) for n in range(8))) == [True] * 8
    assert await db.users.count() == 8
    await whole(db)


async def test_short_calls_wait_their_turn(four: Database, whole: Whole) -> None:
    """Three hundred on one connection: each waits for a free one, nobody for all others."""
    async with occupied(four), asyncio.timeout(10):
        for _ in range(10):
            assert await asyncio.gather(*(four.users.count() for _ in range(30))) == [0] * 30
    await whole(four)


async def test_health_tells_who_waits(four: Database) -> None:
    async with occupied(four):
        waiting = asyncio.ensure_future(four.users.count())
        transaction = asyncio.ensure_future(four.transaction().__aenter__())
        await waiting
        pool = (await four.health()).pool
        assert (pool.size, pool.idle, pool.in_use, pool.waiting) == (4, 1, 3, 1)
        with pytest.raises(PoolTimeoutError):
            await transaction
