"""A connection pool on top of asyncpg's, with bounded waiting and cheap releases.

Asyncpg resets a connection on release, which costs a round trip and doubles the time of every
read. Nothing in digitwin sets session state, so there is nothing to reset; a connection left in
an open transaction, the one thing that could leak, is replaced. Asyncpg's pool also takes a task
and a turn of the event loop for each release (some 45 of a read's 140 µs, measured). A connection
whose statement succeeded therefore stays in :mod:`idle`, and goes back to asyncpg's
pool only after an error, since that pool waits for cancelled statements to end.
Asyncpg has no limit for waiting either: the semaphores in front of it have, and know who waits.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from logging import getLogger
from typing import Any
from weakref import WeakSet

import asyncpg

from digitwin.errors import DigiTwinError, PoolTimeoutError
from digitwin.kernel.connection import driver_errors
from digitwin.kernel.connection.connections import NOW, cut
from digitwin.kernel.connection.deadline import DeadlineTimer
from digitwin.kernel.connection.idle import IdleConnections
from digitwin.kernel.connection.semaphore import FairSemaphore

log = getLogger("digitwin.pool")

RELEASE_TIMEOUT = 1.0
"""Seconds a release waits for a cancelled statement to end, before the connection is closed."""
RENEW_PAUSE = 1.0
"""Seconds between two renewals of the pool: on a server that stays read-only each refused write
would otherwise cost the readers all their connections."""


class Pool:
    """At most ``size`` connections, of which transactions and streams hold ``size - 1`` at most.

    The last one is left for single statements, so that the cache and the limiter can always be
    reached from inside transactions.

    Args:
        size: connections at most.
        acquire_timeout: seconds to wait for a free connection.
        where: the server's address, for errors.
        answer_timeout: seconds within which every statement must be answered.
        idle_timeout, max_lifetime: as for :class:`IdleConnections`.
        outdated: returns the error for a schema that this package cannot use, or None.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        size: int,
        acquire_timeout: float,
        where: str,
        *,
        answer_timeout: float,
        idle_timeout: float = 0,
        max_lifetime: float = 0,
        outdated: Callable[[Any], Awaitable[DigiTwinError | None]] | None = None,
    ) -> None:
        self._pool = pool
        self._outdated = outdated
        self._timeout = acquire_timeout
        self._size = size
        self._where = where
        self._free = FairSemaphore(size, acquire_timeout)
        self._long = FairSemaphore(size - 1, acquire_timeout)
        self._idle_connections = IdleConnections(idle_timeout, max_lifetime)
        self._open: WeakSet[Any] = WeakSet()
        self._renewed = NOW
        self.deadline = DeadlineTimer(answer_timeout)
        self.pipelines = True
        """Whether a scope and its statement are sent in one write."""
        self.in_use = 0
        self.on_lost: Callable[[], None] | None = None
        """Called when a connection has ended, for whatever reason."""

    @property
    def size(self) -> int:
        """Open connections."""
        size: int = self._pool.get_size()
        return size

    @property
    def idle(self) -> int:
        """Open connections that are not in use."""
        idle: int = self._pool.get_idle_size()
        return idle + len(self._idle_connections)

    @property
    def waiting(self) -> int:
        """Callers that wait for a connection."""
        return self._free.waiting + self._long.waiting

    def take(self) -> Any:
        """Return a connection that is ready, for one statement; None if there is none now."""
        if self._free.try_acquire():
            connection = self._idle_connections.take()
            if connection is not None:
                self.in_use += 1
                return connection
            self._free.release()
        return None

    def reuse(self, connection: Any) -> bool:
        """Release a connection whose statements were all answered, without waiting.

        Returns:
            False if it is not fit for that: :meth:`release` it.
        """
        if connection.is_closed() or connection.is_in_transaction():
            return False
        self._idle_connections.put(connection)
        self.in_use -= 1
        self._free.release()
        return True

    async def acquire(self) -> Any:
        """Return a connection for one statement; :meth:`release` must follow.

        Raises:
            PoolTimeoutError: all stayed in use for ``acquire_timeout``.
            ConnectionFailedError: a new connection could not be opened.
        """
        connection = self.take()
        if connection is None:
            if not self._free.try_acquire():
                await self._wait(self._free)
            connection = self._idle_connections.take() or await self._connect()
            self.in_use += 1
        return connection

    async def acquire_long(self) -> Any:
        """Return a connection for a transaction or a stream; raises as :meth:`acquire` does."""
        await self._wait(self._long)
        try:
            return await self.acquire()
        except BaseException:
            self._long.release()
            raise

    async def release(self, connection: Any, *, well: bool = False) -> None:
        """Release a connection; one that is broken or in a transaction is replaced.

        Args:
            well: every statement on it was answered, so that it can be reused at once.
        """
        if well and self.reuse(connection):
            return
        try:
            if not connection.is_closed() and (
                connection.is_in_transaction() or connection.ends == NOW
            ):
                cut(connection)
            await self._pool.release(connection.place, timeout=RELEASE_TIMEOUT)
        except driver_errors.DRIVER:
            cut(connection)
        finally:
            self.in_use -= 1
            self._free.release()

    async def release_long(self, connection: Any, *, well: bool = False) -> None:
        """Release a connection of :meth:`acquire_long`."""
        try:
            await self.release(connection, well=well)
        finally:
            self._long.release()

    def renew(self, pause: float = RENEW_PAUSE) -> None:
        """Replace every connection: the idle ones now, those in use when they are released.

        For a server that says that it is read-only: after a failover the address leads to
        another one, and connections as old as this one lead to the same standby.

        Args:
            pause: does nothing if the last renewal is not as many seconds ago.
        """
        now = asyncio.get_running_loop().time()
        if now - self._renewed < pause:
            return
        self._renewed = now
        for connection in self._open:
            connection.ends = NOW
        self._idle_connections.clear()

    def stop_pipelining(self, why: str) -> None:
        """Send a scope and its statement as a transaction from now on; log why, once."""
        if self.pipelines:
            self.pipelines = False
            log.warning("%s: each call in a scope takes three round trips instead of one", why)

    def forget_statements(self) -> None:
        """Have every connection prepare its statements again, since a table has changed."""
        for connection in self._open:
            connection.forget_statements()

    async def explained(self, error: DigiTwinError) -> DigiTwinError:
        """Return the schema's error in place of one about a table or column that is missing.

        Asks the database, on another connection: only what a migration cures says so.
        """
        if self._outdated is None or not driver_errors.is_missing_object(error):
            return error
        try:
            async with asyncio.timeout(self.deadline.limit):
                return await self._ask_for_version() or error
        except (DigiTwinError, *driver_errors.DRIVER):
            return error

    async def _ask_for_version(self) -> DigiTwinError | None:
        assert self._outdated is not None
        connection, well = await self.acquire(), False
        try:
            found, well = await self._outdated(connection), True
        finally:
            await self.release(connection, well=well)
        return found

    async def close(self, timeout: float) -> None:
        """Close every connection; those still busy after ``timeout`` seconds are terminated."""
        self.on_lost = None
        self.deadline.stop()
        try:
            async with asyncio.timeout(timeout):
                for connection in self._idle_connections.empty():
                    await self._pool.release(connection.place, timeout=RELEASE_TIMEOUT)
                await self._pool.close()
        except driver_errors.DRIVER:  # in time, or a connection that broke as it was closed
            self._pool.terminate()
        except BaseException:
            self._pool.terminate()
            raise

    def disinherit(self) -> None:
        """In a forked child: lend nothing, also to what is left of the parent's tasks.

        What they hold is not taken back: that would need the parent's event loop.
        """
        self._free.close()
        self._long.close()
        self.release = self.release_long = _keep  # type: ignore[method-assign]

    def terminate(self) -> None:
        """Terminate every connection at once."""
        self.on_lost = None
        self.deadline.stop()
        self._idle_connections.empty()
        self._pool.terminate()

    async def open_one(self) -> bool:
        """Open one more connection and keep it idle; False if all are in use or being opened.

        Raises:
            ConnectionFailedError: it could not be opened.
        """
        if not self._free.try_acquire():
            return False
        connection = await self._connect()
        self._idle_connections.put(connection)
        self._free.release()
        return True

    def _lost(self, connection: Any) -> None:
        if self.on_lost is not None:
            self.on_lost()

    async def _wait(self, semaphore: FairSemaphore) -> None:
        try:
            await semaphore.acquire()
        except TimeoutError:
            raise PoolTimeoutError(
                f"All {self._size} connections stayed in use for {self._timeout:g} s",
                pool_max=self._size,
                acquire_timeout=self._timeout,
            ) from None

    async def _connect(self) -> Any:
        """Return asyncpg's next one, without its proxy, which costs a microsecond for each call."""
        try:
            connection = await self._next()
        except driver_errors.DRIVER as fault:
            self._free.release()
            raise driver_errors.of_connecting(fault, self._where) or fault from fault
        except BaseException:
            self._free.release()
            raise
        if connection.ends == math.inf:
            self._idle_connections.date(connection)
        return connection

    async def _next(self) -> Any:
        while True:
            place = await self._pool.acquire()
            connection = place._con
            connection.place, connection.deadline = place, self.deadline
            connection.renew, connection.forget = self.renew, self.forget_statements
            if connection.ends > NOW:
                self._open.add(connection)
                connection.add_termination_listener(self._lost)
                return connection
            cut(connection)  # released before the pool was renewed


async def _keep(connection: Any, *, well: bool = False) -> None:
    """A release in a forked child."""
