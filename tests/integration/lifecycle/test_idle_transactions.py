"""What pauses for too long inside a transaction is told which setting that exceeds."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import ConnectionFailedError
from digitwin.models import User
from digitwin.testing import DatabaseFactory

Whole = Callable[[Database], Awaitable[None]]
Pause = Callable[[], Awaitable[None]]

OPEN = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"


@pytest.fixture
async def db(digitwin_url: str, digitwin_db_factory: DatabaseFactory) -> Database:
    return await digitwin_db_factory(digitwin_url, idle_in_transaction_timeout=0.2, pool_max=3)


@pytest.fixture
def pause(raw: asyncpg.Connection) -> Pause:
    """Return once the server has closed the idle transaction."""

    async def until_closed() -> None:
        while await raw.fetchval(f"{OPEN} AND datname = current_database()"):
            pass

    return until_closed


async def stream(db: Database, pause: Pause) -> None:
    async for _ in db.users.stream():
        await pause()


async def scoped_stream(db: Database, pause: Pause) -> None:
    owner = (await db.users.list(limit=1)).items[0]
    async for _ in db.for_user(owner.id).documents.stream():
        await pause()


async def joined_stream(db: Database, pause: Pause) -> None:
    async with db.transaction():
        await stream(db, pause)


async def call(db: Database, pause: Pause) -> None:
    async with db.transaction():
        await db.users.count()
        await pause()
        await db.users.count()


async def scope(db: Database, pause: Pause) -> None:
    async with db.transaction():
        owner = (await db.users.list(limit=1)).items[0]
        await pause()
        await db.for_user(owner.id).documents.count()


async def model(db: Database, pause: Pause) -> None:
    with db.activate():
        async with db.transaction():
            await User.all().count()
            await pause()
            await User.all().count()


async def savepoint(db: Database, pause: Pause) -> None:
    async with db.transaction():
        await pause()
        async with db.transaction():
            pass


@pytest.mark.parametrize(
    "way", [stream, scoped_stream, joined_stream, call, scope, model, savepoint]
)
async def test_the_setting_is_named(
    digitwin_db: Database,
    db: Database,
    pause: Pause,
    whole: Whole,
    way: Callable[[Database, Pause], Awaitable[None]],
) -> None:
    users = await digitwin_db.users.create_many(
        [{"email": f"{n}@example.org", "name": "Ada"} for n in range(501)]
    )
    await digitwin_db.documents.create_many(
        [{"user_id": users[0].id, "title": "t", "content": "c"} for _ in range(501)]
    )
    with pytest.raises(ConnectionFailedError, match="idle_in_transaction_timeout"):
        await way(db, pause)
    await whole(db)


async def test_a_consumer_that_blocks_the_loop_is_told_too(db: Database) -> None:
    with pytest.raises(ConnectionFailedError, match="idle_in_transaction_timeout"):
        async with db.transaction():
            await db.users.count()
            time.sleep(0.5)  # noqa: ASYNC251 - it is what blocks the loop
            await db.users.count()
