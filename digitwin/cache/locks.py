"""Advisory locks that choose, among all processes, the one that loads a value.

They belong to a session of their own: the server releases them when the session ends, so at the
moment a process dies. No lock outlives its holder, and no expiry has to be guessed. The session
comes from no pool; all loads of a handle share it, and requests made while a statement is under
way are sent together with the next one.

The locks save work and guard nothing: the epochs decide what may be stored. Where no lock can be
had (no connection left, or a pooler whose sessions are shared), every request is granted without
one, and a warning is logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import asyncpg

from digitwin.errors import DigiTwinError, InvalidStateError
from digitwin.kernel.connection import driver_errors
from digitwin.kernel.execution import opening
from digitwin.kernel.execution.background import BackgroundTask

Connect = Callable[[], Awaitable[asyncpg.Connection]]

ANSWER_TIMEOUT: Final = 5.0
"""Seconds for the server to connect or to answer; then requests are granted without a lock."""
RECONNECT_PAUSE: Final = 5.0
"""Seconds before another attempt to connect after a failed one."""

_SESSION: Final = """
SELECT pg_backend_pid(), concat_ws(' ', inet_server_addr(), inet_server_port(),
                                   pg_postmaster_start_time(), current_database())"""
_SETTINGS: Final = """
SELECT set_config('tcp_keepalives_idle', '5', false),
       set_config('tcp_keepalives_interval', '2', false),
       set_config('tcp_keepalives_count', '3', false),
       set_config('idle_session_timeout', '0', false)"""
"""The server notices a vanished host within some ten seconds, and keeps an idle session."""
_TAKE: Final = (
    "SELECT number, pg_try_advisory_lock(number) AS taken FROM unnest($1::bigint[]) AS number"
)
_GIVE_BACK: Final = "SELECT pg_advisory_unlock(number) FROM unnest($1::bigint[]) AS number"

_logger = logging.getLogger(__name__)


class Permit:
    """The right to load a value, until it is released."""

    __slots__ = ("database", "live", "number")

    def __init__(self, number: int, database: str) -> None:
        self.number = number
        self.database = database
        """Where the lock is; empty without a lock."""
        self.live = True


_held_here: ContextVar[frozenset[Permit]] = ContextVar("digitwin_permits", default=frozenset())
"""The permits under which this task's work began."""


class AdvisoryLocks:
    """The locks of one handle.

    Args:
        connect: opens a connection outside any pool.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._clock = asyncio.get_running_loop().time
        self._connection: asyncpg.Connection | None = None
        self._database = ""
        self._held: dict[int, Permit] = {}
        self._requests: dict[int, asyncio.Future[Permit | None]] = {}
        self._released: list[int] = []
        self._task = BackgroundTask(self._serve_all, name="cache locks", logger=_logger)
        self._disabled_until = 0.0
        """Until then, by the event loop's clock, permits are granted without a lock."""

    async def acquire(self, number: int) -> Permit | None:
        """Return a permit, or None if the lock is held elsewhere.

        Raises:
            InvalidStateError: the caller is part of the work that holds the lock.
        """
        if self._clock() < self._disabled_until:
            return Permit(number, "")
        if number in self._held or number in self._requests:
            # The server would grant a session's own lock again: here that counts as held
            permit = None
        else:
            permit = await self._request(number)
        if permit is None:
            self._refuse_circle(number)
        return permit

    def release(self, permit: Permit) -> None:
        """Release a permit; awaits nothing."""
        permit.live = False
        if self._held.get(permit.number) is permit:
            del self._held[permit.number]
            self._released.append(permit.number)
            self._task.wake()

    @contextmanager
    def holding(self, permit: Permit) -> Iterator[None]:
        """Run the block under a permit, and release it afterwards."""
        token = _held_here.set(_held_here.get() | {permit})
        try:
            yield
        finally:
            _held_here.reset(token)
            self.release(permit)

    async def close(self) -> None:
        """Release everything."""
        self._disabled_until = float("inf")
        self._held.clear()
        await self._task.stop()
        self._grant_without_lock(list(self._requests))
        await self._disconnect()

    async def _request(self, number: int) -> Permit | None:
        answer: asyncio.Future[Permit | None] = asyncio.get_running_loop().create_future()
        self._requests[number] = answer
        self._task.wake()
        try:
            return await answer
        except asyncio.CancelledError:
            if not answer.cancelled() and (permit := answer.result()) is not None:
                self.release(permit)  # granted in the moment of the cancellation
            raise

    def _refuse_circle(self, number: int) -> None:
        for permit in _held_here.get():
            same = permit.number == number and permit.database == self._database
            if same and permit.live and permit.database:
                raise InvalidStateError("A factory asks the cache for the entry that it makes")

    async def _serve_all(self) -> None:
        try:
            while self._requests or self._released:
                await self._serve()
        finally:
            self._grant_without_lock(list(self._requests))

    async def _serve(self) -> None:
        """Serve one round: releases first, then requests."""
        released, self._released = self._released, []
        wanted = list(self._requests)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await self._exchange(released, wanted)
        except (DigiTwinError, *driver_errors.DRIVER) as error:
            _logger.warning("cache: no locks, each process runs its own factories: %s", error)
            self._disabled_until = max(self._disabled_until, self._clock() + RECONNECT_PAUSE)
            await self._disconnect()
            self._grant_without_lock(wanted)

    async def _exchange(self, released: list[int], wanted: list[int]) -> None:
        connection = self._connection
        if connection is not None and not connection.is_closed():
            try:
                await self._exchange_on(connection, released, wanted)
            except driver_errors.DRIVER:
                pass  # the session had ended, and its locks with it
            else:
                return
        if wanted:
            await self._exchange_on(await self._reconnect(), [], wanted)

    async def _exchange_on(
        self, connection: asyncpg.Connection, released: list[int], wanted: list[int]
    ) -> None:
        if released:
            await connection.execute(_GIVE_BACK, released)
        if wanted:
            for number, taken in await connection.fetch(_TAKE, wanted):
                self._resolve(number, Permit(number, self._database) if taken else None)

    async def _reconnect(self) -> asyncpg.Connection:
        """Open a new session; the locks of the one before it are gone."""
        await self._disconnect()
        connection = self._connection = await self._connect()
        session: Any = await connection.fetchrow(_SESSION)
        behind_pooler = session[0] != connection.get_server_pid()
        if behind_pooler:
            self._disabled_until = float("inf")
            raise DigiTwinError("a pooler is in between, which keeps no locks of a session")
        await connection.fetchrow(_SETTINGS)
        self._database = session[1]
        return connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._held.clear()
        if connection is not None:
            await opening.close_once(connection)

    def _resolve(self, number: int, permit: Permit | None) -> None:
        answer = self._requests.pop(number)
        if permit is not None and permit.database:
            self._held[number] = permit
        if not answer.done():
            answer.set_result(permit)
        elif permit is not None:
            self.release(permit)

    def _grant_without_lock(self, numbers: list[int]) -> None:
        for number in numbers:
            if number in self._requests:
                self._resolve(number, Permit(number, ""))
