"""Connections, lent and taken back: asyncpg's own pool with what it lacks.

Asyncpg resets a connection on release, which costs a round trip and doubles the price of
every read. Nothing in digitwin sets session state, so there is nothing to reset; an open
transaction, the one thing that could leak, costs its connection. Asyncpg has no limit for
waiting either: a semaphore in front of it has, and counts who holds and who waits.
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from digitwin.errors import PoolTimeoutError
from digitwin.kernel import faults

RELEASE_TIMEOUT = 1.0
"""Seconds a release may wait for a cancelled statement to end; then the connection goes."""


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """A connection that comes back as it left: there is no session state to reset."""

    def get_reset_query(self) -> str:
        return ""


def is_gone(connection: Any) -> bool:
    """Whether a lent connection is closed, by the server or by :func:`cut`."""
    try:
        closed: bool = connection.is_closed()
    except asyncpg.InterfaceError:
        # Its place in the pool is free already.
        return True
    return closed


def cut(connection: Any) -> None:
    """Give a lent connection up at once; the pool makes a new one in its place."""
    if not is_gone(connection):
        connection.terminate()


class Pool:
    """At most ``size`` connections; at most ``size - 1`` of them for long holds.

    Args:
        size: connections at most.
        acquire_timeout: seconds to wait for a free one.
        where: the address, for errors.
    """

    def __init__(self, pool: asyncpg.Pool, size: int, acquire_timeout: float, where: str) -> None:
        self._pool = pool
        self._timeout = acquire_timeout
        self._size = size
        self._where = where
        self._free = asyncio.Semaphore(size)
        self._long = asyncio.Semaphore(size - 1)
        self.waiting = 0
        self.in_use = 0

    @property
    def size(self) -> int:
        """Connections open now."""
        size: int = self._pool.get_size()
        return size

    @property
    def idle(self) -> int:
        """Connections open and not lent."""
        idle: int = self._pool.get_idle_size()
        return idle

    async def acquire(self) -> Any:
        """Lend a connection for one statement.

        Raises:
            PoolTimeoutError: all stayed in use for ``acquire_timeout``.
            ConnectionFailedError: a new connection could not be made.
        """
        await self._take(self._free)
        return await self._connect()

    async def acquire_long(self) -> Any:
        """Lend a connection for a transaction or a stream; errors as :meth:`acquire`."""
        await self._take(self._long)
        try:
            return await self.acquire()
        except BaseException:
            self._long.release()
            raise

    async def release(self, connection: Any) -> None:
        """Take a connection back; one that is broken or in a transaction is replaced."""
        try:
            if not is_gone(connection) and connection.is_in_transaction():
                cut(connection)
            await self._pool.release(connection, timeout=RELEASE_TIMEOUT)
        except faults.DRIVER:
            cut(connection)
        finally:
            self.in_use -= 1
            self._free.release()

    async def release_long(self, connection: Any) -> None:
        """Take back what :meth:`acquire_long` lent."""
        try:
            await self.release(connection)
        finally:
            self._long.release()

    async def close(self, timeout: float) -> None:
        """Close every connection; after ``timeout`` seconds without ceremony."""
        try:
            async with asyncio.timeout(timeout):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    def terminate(self) -> None:
        """Cut every connection at once."""
        self._pool.terminate()

    async def _take(self, slots: asyncio.Semaphore) -> None:
        if not slots.locked():
            await slots.acquire()
            return
        self.waiting += 1
        try:
            async with asyncio.timeout(self._timeout):
                await slots.acquire()
        except TimeoutError:
            raise PoolTimeoutError(
                f"All {self._size} connections stayed in use for {self._timeout:g} s",
                pool_max=self._size,
                acquire_timeout=self._timeout,
            ) from None
        finally:
            self.waiting -= 1

    async def _connect(self) -> Any:
        try:
            connection = await self._pool.acquire()
        except faults.DRIVER as fault:
            self._free.release()
            raise faults.of_connecting(fault, self._where) or fault from fault
        except BaseException:
            self._free.release()
            raise
        self.in_use += 1
        return connection
