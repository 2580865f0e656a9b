"""Knowing that a statement waits, where a test must act while it does."""

from __future__ import annotations

import asyncio

import asyncpg


class UntilWaiting:
    """Returns once so many statements in the connection's database wait for a lock.

    The connection is in no transaction: within one the server shows it no news.
    """

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._one_query = asyncio.Lock()

    async def __call__(self, statements: int = 1) -> None:
        async with asyncio.timeout(5):
            while await self._waiting() < statements:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.005)

    async def _waiting(self) -> int:
        async with self._one_query:
            count: int = await self._connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        return count
