"""Records of the past, which only raw SQL can make."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from digitwin.kernel.primitives.ids import floor_id, uuid7

Past = Callable[..., Awaitable[list[UUID]]]

_TAIL = (1 << 80) - 1


def id_at(moment: datetime) -> UUID:
    """An id as it would have been made then."""
    return UUID(int=floor_id(moment).int | uuid7().int & _TAIL)


@pytest.fixture
async def now(raw: asyncpg.Connection) -> datetime:
    """The database's time, of which the tests count back."""
    moment: datetime = await raw.fetchval("SELECT now()")
    return moment


@pytest.fixture
def past(raw: asyncpg.Connection, now: datetime) -> Past:
    """Put records into the trail as if they had been made so many days ago."""

    async def put(days: float, count: int = 1, *, action: str = "old") -> list[UUID]:
        then = now - timedelta(days=days)
        ids = [id_at(then) for _ in range(count)]
        await raw.executemany(
            "INSERT INTO audit_logs (id, action, resource, created_at) VALUES ($1, $2, 'r', $3)",
            [(id, action, then) for id in ids],
        )
        return ids

    return put


@pytest.fixture
async def admin(raw: asyncpg.Connection) -> asyncpg.Connection:
    """A superuser whom no trigger stops."""
    await raw.execute("SET session_replication_role = replica")
    return raw
