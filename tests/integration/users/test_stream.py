"""Every user, through a cursor on the server."""

from __future__ import annotations

import gc
import tracemalloc
from contextlib import aclosing

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.models import User
from digitwin.users.repository import UserRepository

MANY = 20_000


async def many(raw: asyncpg.Connection) -> None:
    await raw.execute(
        "INSERT INTO users (id, email, name) SELECT gen_random_uuid(), n || '@example.com', 'N'"
        f" FROM generate_series(1, {MANY}) AS n"
    )


async def peak(users: UserRepository, *, stop_at: int) -> int:
    """Bytes that reading so many takes at most."""
    gc.collect()
    tracemalloc.start()
    async with aclosing(users.stream()) as rows:
        seen = 0
        async for _ in rows:
            seen += 1
            if seen == stop_at:
                break
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen == stop_at
    return most


async def test_a_stream_takes_no_more_memory_however_long_it_is(
    digitwin_db: Database, raw: asyncpg.Connection
) -> None:
    await many(raw)
    users = digitwin_db.users
    await peak(users, stop_at=1)
    assert await peak(users, stop_at=MANY) < 2 * await peak(users, stop_at=1_000)


async def test_a_stream_shows_one_moment(users: UserRepository, ada: User, bob: User) -> None:
    seen = []
    async for user in users.stream():
        if not seen:
            await users.update(bob.id, name="Robert")
            await users.create(email="late@example.com", name="Late")
        seen.append(user.name)
    assert seen == ["Ada", "Bob"]


async def test_a_stream_in_a_transaction_sees_what_the_transaction_wrote(
    digitwin_db: Database, users: UserRepository
) -> None:
    async with digitwin_db.transaction():
        await users.create(email="ada@example.com", name="Ada")
        assert [user.name async for user in users.stream()] == ["Ada"]


async def test_a_stream_left_early_gives_its_connection_back(
    digitwin_db: Database, ada: User, bob: User
) -> None:
    async with aclosing(digitwin_db.users.stream()) as rows:
        async for _ in rows:
            assert digitwin_db._core.pool.in_use == 1
            break
    assert digitwin_db._core.pool.in_use == 0


async def test_a_stream_whose_reader_fails_gives_its_connection_back(
    digitwin_db: Database, ada: User, bob: User
) -> None:
    with pytest.raises(LookupError):
        async with aclosing(digitwin_db.users.stream()) as rows:
            async for _ in rows:
                raise LookupError
    assert digitwin_db._core.pool.in_use == 0


async def test_a_stream_nobody_reads_takes_no_connection(digitwin_db: Database) -> None:
    stream = digitwin_db.users.stream()
    assert digitwin_db._core.pool.in_use == 0
    await stream.aclose()
