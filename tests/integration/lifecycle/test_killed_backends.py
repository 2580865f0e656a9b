"""A backend that dies takes its one call with it, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import ConnectionFailedError, OutcomeUnknownError
from digitwin.models import User
from tests.faults.proxy import Proxy

Whole = Callable[[Database], Awaitable[None]]

KILL = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
BLOCKED = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


async def add(db: Database, name: str) -> None:
    await db.users.create(email=f"{name}@example.com", name=name)


async def blocked_update(db: Database, admin: asyncpg.Connection) -> asyncio.Task[object]:
    """A call that waits for a lock which ``admin`` holds."""
    user = await db.users.create(email="ada@example.com", name="Ada")
    await admin.execute("BEGIN")
    await admin.execute("SELECT FROM users FOR UPDATE")
    task = asyncio.ensure_future(db.users.update(user.id, name="Countess"))
    while not await admin.fetchval(BLOCKED):
        assert not task.done()
    return task


async def test_in_the_middle_of_a_write_nobody_knows_whether_it_is_stored(
    db: Database, admin: asyncpg.Connection, whole: Whole
) -> None:
    async with asyncio.timeout(5):
        task = await blocked_update(db, admin)
        await admin.execute(KILL)
        with pytest.raises(OutcomeUnknownError):
            await task
    await admin.execute("ROLLBACK")
    await whole(db)


async def test_in_a_transaction_nothing_is_stored(
    db: Database, admin: asyncpg.Connection, whole: Whole
) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionFailedError) as raised:
            async with db.transaction():
                await add(db, "ada")
                await admin.execute(KILL)
                await add(db, "eve")
    assert raised.type is ConnectionFailedError
    assert raised.value.retryable
    assert await admin.fetchval("SELECT count(*) FROM users") == 0
    await whole(db)


async def test_before_the_commit_nothing_is_stored(
    db: Database, admin: asyncpg.Connection, whole: Whole
) -> None:
    """Whether the client has noticed yet decides how much its error can say."""
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionFailedError):
            async with db.transaction():
                await add(db, "ada")
                await admin.execute(KILL)
    assert await admin.fetchval("SELECT count(*) FROM users") == 0
    await whole(db)


async def test_in_a_stream_it_ends_with_a_typed_error(
    db: Database, admin: asyncpg.Connection, whole: Whole
) -> None:
    await db.users.create_many({"email": f"{n}@example.com", "name": "N"} for n in range(600))
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionFailedError):
            async for _ in db.users.stream():
                await admin.execute(KILL)
    await admin.execute("SET digitwin.allow_hard_delete = 'on'; DELETE FROM user_emails")
    await whole(db)


async def test_idle_connections_are_replaced(
    db: Database, admin: asyncpg.Connection, whole: Whole
) -> None:
    """As after a night: all are dead, and no call notices."""
    await whole(db)
    await kill_all(admin)
    await whole(db)


@pytest.mark.parametrize("way", ["statement", "queryset", "transaction"])
async def test_idle_connections_whose_end_is_announced_and_does_not_come(
    db: Database, proxy: Proxy, admin: asyncpg.Connection, whole: Whole, way: str
) -> None:
    """The farewell has arrived, the connection looks open: it costs one call, not every one."""

    async def call() -> None:
        if way == "statement":
            await db.users.count()
        elif way == "queryset":
            await User.all().count()
        else:
            async with db.transaction():
                pass

    await call()
    proxy.lingering = True
    await kill_all(admin)
    with pytest.raises(ConnectionFailedError):
        await call()
    await call()
    proxy.lingering = False
    await whole(db)


async def kill_all(admin: asyncpg.Connection) -> None:
    """And wait for their end, while the pool opens others."""
    killed = await admin.fetchval(
        KILL.replace("count(pg_terminate_backend(pid))", "array_agg(pid)")
    )
    assert killed
    await admin.execute(KILL)
    while await admin.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1)", killed):
        pass
