"""Buckets whose time a test moves, and handles beside one another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
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


@pytest.fixture
def limits(digitwin_db: Database) -> RateLimitRepository:
    return digitwin_db.limits


@pytest.fixture
async def other(digitwin_url: str, digitwin_db_factory: DatabaseFactory) -> RateLimitRepository:
    """The same limits, as another process sees them."""
    return (await digitwin_db_factory(digitwin_url)).limits


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


async def gathered(calls: Iterable[Awaitable[Any]]) -> list[Any]:
    """All of them at once, each in a task of its own; none may take a minute."""
    async with asyncio.timeout(60):
        return await asyncio.gather(*calls)
