"""Knowing that a statement waits, where a test must act while it does."""

from __future__ import annotations

import asyncio

from digitwin.database import Database


async def until_waiting(db: Database, statements: int = 1) -> None:
    """Return once so many statements in this database wait for a lock."""
    async with asyncio.timeout(5):
        while await _waiting(db) < statements:  # noqa: ASYNC110 - the server tells no event
            await asyncio.sleep(0.005)


async def _waiting(db: Database) -> int:
    count: int = await db._core.aside.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return count
