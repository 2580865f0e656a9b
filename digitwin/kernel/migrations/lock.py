"""The lock that keeps migrations of a schema apart, behind any pooler.

It is an advisory lock of a transaction, which stays open on a connection of its own. A lock of a
session would stay with a transaction pooler's server connection; this one ends with the
transaction, also when its process is killed. Between its statements the transaction has no
snapshot, so that neither ``CREATE INDEX CONCURRENTLY`` nor vacuum waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from digitwin.errors import QueryTimeoutError
from digitwin.kernel.connection import driver_errors

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another process that migrates."""
POLL = 0.05
"""Seconds between attempts. Waiting inside PostgreSQL would deadlock with CREATE INDEX
CONCURRENTLY, which waits for every open statement."""
ORPHANED_AFTER = 30
"""Seconds after which the server ends the lock of a machine that vanished."""

_TRY_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('digitwin.migrations:' || $1, 0))"
_BOUND = f"SET LOCAL idle_in_transaction_session_timeout = '{ORPHANED_AFTER}s'"
"""Sent as a simple query, which also drops the snapshot that the query before it left."""


@asynccontextmanager
async def held(connection: asyncpg.Connection, schema: str) -> AsyncIterator[None]:
    """Hold the migration lock of this schema on a connection that does nothing else.

    Raises:
        QueryTimeoutError: another process has held it for ``LOCK_TIMEOUT``.
    """
    try:
        async with asyncio.timeout(LOCK_TIMEOUT):
            while not await _try(connection, schema):  # noqa: ASYNC110 - across processes
                await asyncio.sleep(POLL)
    except TimeoutError:
        raise QueryTimeoutError(
            f"Another process has been migrating this schema for {LOCK_TIMEOUT:.0f} seconds"
        ) from None
    alive = asyncio.create_task(_keep_alive(connection))
    try:
        yield
    finally:
        alive.cancel()
        await asyncio.gather(alive, return_exceptions=True)
        with suppress(*driver_errors.DRIVER):
            await connection.execute("ROLLBACK")


async def _try(connection: asyncpg.Connection, schema: str) -> bool:
    await connection.execute("BEGIN")
    if await connection.fetchval(_TRY_LOCK, schema):
        await connection.execute(_BOUND)
        return True
    await connection.execute("ROLLBACK")
    return False


async def _keep_alive(connection: asyncpg.Connection) -> None:
    """Use the connection now and then, until it breaks.

    Two processes that migrate at once do no harm: every step can be run twice.
    """
    with suppress(*driver_errors.DRIVER):
        while True:
            await asyncio.sleep(ORPHANED_AFTER / 6)
            await connection.execute(_BOUND)
