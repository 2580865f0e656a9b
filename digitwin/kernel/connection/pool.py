"""A connection pool on top of asyncpg's, with bounded waiting and cheap releases.

Asyncpg resets a connection on release, which costs a round trip and doubles the time of every
read. Nothing in digitwin sets session state, so there is nothing to reset; a connection left in
an open transaction, the one thing that could leak, is replaced. Asyncpg's pool also takes a task
and a turn of the event loop for each release (some 45 of a read's 140 µs, measured). A connection
whose statement succeeded therefore stays in :class:`IdleConnections`, and goes back to asyncpg's
pool only after an error, since that pool waits for cancelled statements to end.
Asyncpg has no limit for waiting either: the semaphore in front of it have, and know who waits.
"""

from __future__ import annotations

import asyncio
import math
import random
import secrets
from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import asyncpg

from digitwin.errors import PoolTimeoutError
from digitwin.kernel.connection import driver_errors, forking
from digitwin.kernel.connection.deadline import DeadlineTimer
from digitwin.kernel.connection.semaphore import FairSemaphore

RELEASE_TIMEOUT = 1.0
"""Seconds a release waits for a cancelled statement to end, before the connection is closed."""


RENEW_PAUSE = 1.0
"""Seconds between two renewals of the pool: on a server that stays read-only each refused write
would otherwise cost the readers all their connections."""

_NOW = -math.inf


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """A connection without session state to reset on release."""

    ends = math.inf
    """When its lifetime ends, by the event loop's clock."""
    place: Any = None
    """Asyncpg's proxy for it, by which it is released to asyncpg's pool."""
    deadline: DeadlineTimer
    renew: Callable[[], None]
    """Its pool's :meth:`Pool.renew`."""

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self._name = secrets.token_hex(6)
        forking.watch(self)

    def _get_unique_id(self, prefix: str) -> str:
        """Return a name that no other connection uses, in any process.

        Asyncpg's own are the same in each process. Behind a pooler that mixes up connections one
        client would execute another's statement; so it is told that the statement is missing.
        """
        name: str = super()._get_unique_id(prefix)
        return f"{name}{self._name}"

    def get_reset_query(self) -> str:
        return ""

    async def ask(self, method: str, sql: str, *args: Any) -> Any:
        """Send one statement by asyncpg's ``method`` and return its result.

        Raises:
            TimeoutError: it was not answered in time; the connection is terminated.
        """
        deadline = self.deadline
        deadline.begin(self)
        try:
            answer = await getattr(self, method)(sql, *args)
        except BaseException as fault:
            if not deadline.end(self) and isinstance(fault, driver_errors.DRIVER):
                raise TimeoutError from fault
            self.judge(fault)
            raise
        deadline.end(self)
        return answer

    def judge(self, fault: BaseException) -> None:
        """Have it replaced on release if ``fault`` says that it, or its server, is not usable.

        It is not closed at once: a transaction around the fault may go on after a savepoint.
        """
        if isinstance(fault, driver_errors.OUT_OF_STEP):
            cut(self)
        elif driver_errors.distrusts(fault):
            self.ends = _NOW
            if driver_errors.is_read_only(fault):
                self.renew()


def cut(connection: Any) -> None:
    """Terminate an acquired connection; the pool opens a new one in its place."""
    if not connection.is_closed():
        connection.terminate()


class IdleConnections:
    """Idle connections, last in, first out, so that the surplus ones time out.

    Args:
        idle_timeout: seconds after which an idle connection is closed; 0 means never.
        max_lifetime: seconds after which a connection is replaced, idle or not, give or take a
            tenth so that they are not all replaced at once; 0 means never.
    """

    def __init__(self, idle_timeout: float, max_lifetime: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._idle_timeout = idle_timeout
        self._max_lifetime = max_lifetime
        self._idle: deque[tuple[Any, float]] = deque()
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(not connection.is_closed() for connection, _ in self._idle)

    def take(self) -> Any:
        """Return an open connection, or None."""
        while self._idle:
            connection, _ = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    def put(self, connection: Any) -> None:
        """Keep a connection, unless its lifetime has ended."""
        now = self._loop.time()
        if connection.ends <= now:
            cut(connection)
            return
        self._idle.append((connection, now))
        if self._sweep is None and self._idle_timeout:
            self._sweep = self._loop.call_later(self._idle_timeout, self._close_unused)

    def date(self, connection: Any) -> None:
        """Set the end of a new connection's lifetime."""
        if self._max_lifetime:
            lives = self._max_lifetime * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load
            connection.ends = self._loop.time() + lives

    def clear(self) -> None:
        """Close all of them."""
        for connection in self.empty():
            cut(connection)

    def empty(self) -> list[Any]:
        """Remove and return all of them."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        taken = [connection for connection, _ in self._idle]
        self._idle.clear()
        return taken

    def _close_unused(self) -> None:
        """Close those idle for too long, which are on the left."""
        self._sweep = None
        oldest = self._loop.time() - self._idle_timeout
        while self._idle and self._idle[0][1] <= oldest:
            cut(self._idle.popleft()[0])
        if self._idle:
            self._sweep = self._loop.call_at(
                self._idle[0][1] + self._idle_timeout, self._close_unused
            )


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
    ) -> None:
        self._pool = pool
        self._timeout = acquire_timeout
        self._size = size
        self._where = where
        self._free = FairSemaphore(size)
        self._long = FairSemaphore(size - 1)
        self._idle_connections = IdleConnections(idle_timeout, max_lifetime)
        self._open: WeakSet[Any] = WeakSet()
        self._renewed = _NOW
        self.deadline = DeadlineTimer(answer_timeout)
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

    async def acquire(self) -> Any:
        """Return a connection for one statement; :meth:`release` must follow.

        Raises:
            PoolTimeoutError: all stayed in use for ``acquire_timeout``.
            ConnectionFailedError: a new connection could not be opened.
        """
        if not self._free.try_acquire():
            await self._wait(self._free)
        connection = self._idle_connections.take()
        if connection is None:
            connection = await self._connect()
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
        try:
            if not connection.is_closed():
                if connection.is_in_transaction() or (not well and connection.ends == _NOW):
                    cut(connection)
                elif well:
                    self._idle_connections.put(connection)
                    return
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
            connection.ends = _NOW
        self._idle_connections.clear()

    async def close(self, timeout: float) -> None:
        """Close every connection; those still busy after ``timeout`` seconds are terminated."""
        self.deadline.stop()
        try:
            async with asyncio.timeout(timeout):
                for connection in self._idle_connections.empty():
                    await self._pool.release(connection.place, timeout=RELEASE_TIMEOUT)
                await self._pool.close()
        except driver_errors.DRIVER:  # in time, or a connection that broke as it was closed
            self._pool.terminate()

    def disinherit(self) -> None:
        """In a forked child: lend nothing, also to what is left of the parent's tasks."""
        self._free.close()
        self._long.close()

    def terminate(self) -> None:
        """Terminate every connection at once."""
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
            await semaphore.acquire(self._timeout)
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
            connection.renew = self.renew
            if connection.ends > _NOW:
                self._open.add(connection)
                connection.add_termination_listener(self._lost)
                return connection
            cut(connection)  # released before the pool was renewed
