"""Buckets whose time a test moves, handles beside one another, and a connection of nobody's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.limits.repository import RateLimitRepository
from digitwin.testing import DatabaseFactory

MONTH = 30 * 86_400
"""So long that nothing worth a token comes back while a test runs."""

Elapse = Callable[[float], Awaitable[None]]
Tokens = Callable[[], Awaitable[float]]
Waiting = Callable[[int], Awaitable[None]]


@pytest.fixture
def limits(digitwin_db: Database) -> RateLimitRepository:
    return digitwin_db.limits


@pytest.fixture
async def other(digitwin_url: str, digitwin_db_factory: DatabaseFactory) -> RateLimitRepository:
    """The same limits, as another process sees them."""
    return (await digitwin_db_factory(digitwin_url)).limits


@pytest.fixture
async def raw(digitwin_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of nobody's: raw SQL, as an administrator would type it."""
    connection = await asyncpg.connect(digitwin_url)
    yield connection
    await connection.close()


@pytest.fixture
def elapse(raw: asyncpg.Connection) -> Elapse:
    """Let so many seconds pass for every bucket; fewer than none turn the clock back."""

    async def elapse(seconds: float) -> None:
        await raw.execute(
            "UPDATE rate_limits SET updated_at = updated_at - make_interval(secs => $1)", seconds
        )

    return elapse


@pytest.fixture
def tokens(raw: asyncpg.Connection) -> Tokens:
    """What the only bucket holds, as it is stored, but for what came back in a blink."""

    async def tokens() -> float:
        [row] = await raw.fetch("SELECT tokens FROM rate_limits")
        return round(float(row["tokens"]), 3)

    return tokens


@pytest.fixture
async def waiting(digitwin_url: str) -> AsyncIterator[Waiting]:
    """Return once so many statements in this database wait for a lock."""
    watcher = await asyncpg.connect(digitwin_url)

    async def until_they_wait(count: int) -> None:
        async with asyncio.timeout(5):
            while count > await watcher.fetchval(  # noqa: ASYNC110 - no event tells
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ):
                await asyncio.sleep(0.005)

    yield until_they_wait
    await watcher.close()


async def gathered(calls: Iterable[Awaitable[Any]]) -> list[Any]:
    """All of them at once, each in a task of its own; none may take a minute."""
    async with asyncio.timeout(60):
        return await asyncio.gather(*calls)
