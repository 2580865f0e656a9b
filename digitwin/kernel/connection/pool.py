"""Connections, lent and taken back: asyncpg's own pool with what it lacks.

Asyncpg resets a connection on release, which costs a round trip and doubles the price of
every read. Nothing in digitwin sets session state, so there is nothing to reset; an open
transaction, the one thing that could leak, costs its connection. Its pool also takes a task
and a turn of the event loop for each release (some 45 of a read's 140 µs, measured): a
connection whose statement went well therefore stays at hand here, and goes back to asyncpg's
pool only when something went wrong, which is where cancelled statements are waited for.
Asyncpg has no limit for waiting either: the slots in front of it have, and know who waits.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from typing import Any

import asyncpg

from digitwin.errors import PoolTimeoutError
from digitwin.kernel.connection import driver_errors
from digitwin.kernel.connection.deadline import Watch
from digitwin.kernel.connection.semaphore import Slots

RELEASE_TIMEOUT = 1.0
"""Seconds a release may wait for a cancelled statement to end; then the connection goes."""


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """A connection that comes back as it left: there is no session state to reset."""

    ends = math.inf
    """When it is to be replaced, by the event loop's clock."""
    place: Any = None
    """Asyncpg's proxy for it: its place in asyncpg's pool, to which it is given back."""
    watch: Watch

    def get_reset_query(self) -> str:
        return ""

    async def ask(self, method: str, sql: str, *args: Any) -> Any:
        """Send one statement by asyncpg's ``method``.

        Raises:
            TimeoutError: it was not answered in time; the connection is cut.
        """
        watch = self.watch
        watch.begin(self)
        try:
            answer = await getattr(self, method)(sql, *args)
        except BaseException as fault:
            if not watch.end(self) and isinstance(fault, driver_errors.DRIVER):
                raise TimeoutError from fault
            raise
        watch.end(self)
        return answer


def cut(connection: Any) -> None:
    """Give a lent connection up at once; the pool makes a new one in its place."""
    if not connection.is_closed():
        connection.terminate()


class AtHand:
    """Connections that nobody uses, the last one back first: the fewest stay warm.

    Args:
        idle_timeout: seconds after which an unused one is closed; 0 keeps it.
        max_lifetime: seconds after which one is replaced, used or not, a tenth more or less
            so that they do not go all at once; 0 keeps it.
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
        """One that is open, or None."""
        while self._idle:
            connection, _ = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    def put(self, connection: Any) -> None:
        """Keep one, unless its time is over."""
        now = self._loop.time()
        if connection.ends <= now:
            cut(connection)
            return
        self._idle.append((connection, now))
        if self._sweep is None and self._idle_timeout:
            self._sweep = self._loop.call_later(self._idle_timeout, self._close_unused)

    def date(self, connection: Any) -> None:
        """Say when a new connection's time is over."""
        if self._max_lifetime:
            lives = self._max_lifetime * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load
            connection.ends = self._loop.time() + lives

    def empty(self) -> list[Any]:
        """All of them, to be given back."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        taken = [connection for connection, _ in self._idle]
        self._idle.clear()
        return taken

    def _close_unused(self) -> None:
        """The longest unused are on the left."""
        self._sweep = None
        oldest = self._loop.time() - self._idle_timeout
        while self._idle and self._idle[0][1] <= oldest:
            cut(self._idle.popleft()[0])
        if self._idle:
            self._sweep = self._loop.call_at(
                self._idle[0][1] + self._idle_timeout, self._close_unused
            )


class Pool:
    """At most ``size`` connections; at most ``size - 1`` of them for long holds.

    Args:
        size: connections at most.
        acquire_timeout: seconds to wait for a free one.
        where: the address, for errors.
        answer_timeout: seconds within which every statement is answered.
        idle_timeout, max_lifetime: as for :class:`AtHand`.
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
        self._free = Slots(size)
        self._long = Slots(size - 1)
        self._at_hand = AtHand(idle_timeout, max_lifetime)
        self.watch = Watch(answer_timeout)
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
        return idle + len(self._at_hand)

    @property
    def waiting(self) -> int:
        """Callers that wait for one."""
        return self._free.waiting + self._long.waiting

    async def acquire(self) -> Any:
        """Lend a connection for one statement.

        Raises:
            PoolTimeoutError: all stayed in use for ``acquire_timeout``.
            ConnectionFailedError: a new connection could not be made.
        """
        if not self._free.take_now():
            await self._wait(self._free)
        connection = self._at_hand.take()
        if connection is None:
            connection = await self._connect()
        self.in_use += 1
        return connection

    async def acquire_long(self) -> Any:
        """Lend a connection for a transaction or a stream; errors as :meth:`acquire`."""
        await self._wait(self._long)
        try:
            return await self.acquire()
        except BaseException:
            self._long.give_back()
            raise

    async def release(self, connection: Any, *, well: bool = False) -> None:
        """Take a connection back; one that is broken or in a transaction is replaced.

        Args:
            well: every statement on it was answered, so that it can stay at hand.
        """
        try:
            if not connection.is_closed():
                if connection.is_in_transaction():
                    cut(connection)
                elif well:
                    self._at_hand.put(connection)
                    return
            await self._pool.release(connection.place, timeout=RELEASE_TIMEOUT)
        except driver_errors.DRIVER:
            cut(connection)
        finally:
            self.in_use -= 1
            self._free.give_back()

    async def release_long(self, connection: Any, *, well: bool = False) -> None:
        """As :meth:`release`, what :meth:`acquire_long` lent."""
        try:
            await self.release(connection, well=well)
        finally:
            self._long.give_back()

    async def close(self, timeout: float) -> None:
        """Close every connection; after ``timeout`` seconds without ceremony."""
        self.watch.stop()
        try:
            async with asyncio.timeout(timeout):
                for connection in self._at_hand.empty():
                    await self._pool.release(connection.place, timeout=RELEASE_TIMEOUT)
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    def terminate(self) -> None:
        """Cut every connection at once."""
        self.watch.stop()
        self._at_hand.empty()
        self._pool.terminate()

    async def _wait(self, slots: Slots) -> None:
        try:
            await slots.take(self._timeout)
        except TimeoutError:
            raise PoolTimeoutError(
                f"All {self._size} connections stayed in use for {self._timeout:g} s",
                pool_max=self._size,
                acquire_timeout=self._timeout,
            ) from None

    async def _connect(self) -> Any:
        """Asyncpg's next one. Its proxy stays here: every call through it costs a microsecond."""
        try:
            place = await self._pool.acquire()
        except driver_errors.DRIVER as fault:
            self._free.give_back()
            raise driver_errors.of_connecting(fault, self._where) or fault from fault
        except BaseException:
            self._free.give_back()
            raise
        connection = place._con
        connection.place, connection.watch = place, self.watch
        if connection.ends == math.inf:
            self._at_hand.date(connection)
        return connection
