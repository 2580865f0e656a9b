"""Who of all processes makes a value: advisory locks of a session of its own.

The server gives them back by itself when the session ends, and so the moment a process dies: no
lock outlives its holder, and no time has to be guessed after which a holder counts as dead. The
session belongs to no pool; all flights of a handle share it, and what is asked while a statement
is under way goes along with the next one.

A lock saves work and guards nothing: what may be stored, the epochs say. So where there is none
to be had (no connection left, or a pooler in between, whose sessions are anybody's), everybody
is let through, and the log says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Any, Final

import asyncpg

from digitwin.errors import DigiTwinError, InvalidStateError
from digitwin.kernel.connection import driver_errors
from digitwin.kernel.execution import opening

Connect = Callable[[], Awaitable[asyncpg.Connection]]

PATIENCE: Final = 5.0
"""Seconds the server may take to connect or to answer, after which one flies without a lock."""
RESPITE: Final = 5.0
"""Seconds before a connection is tried again that could not be had."""

_GREETING: Final = """
SELECT pg_backend_pid(), concat_ws(' ', inet_server_addr(), inet_server_port(),
                                   pg_postmaster_start_time(), current_database())"""
_SETTINGS: Final = """
SELECT set_config('tcp_keepalives_idle', '5', false),
       set_config('tcp_keepalives_interval', '2', false),
       set_config('tcp_keepalives_count', '3', false),
       set_config('idle_session_timeout', '0', false)"""
"""A host that vanished is found within some ten seconds; one that works long is left in peace."""
_TAKE: Final = (
    "SELECT number, pg_try_advisory_lock(number) AS taken FROM unnest($1::bigint[]) AS number"
)
_GIVE_BACK: Final = "SELECT pg_advisory_unlock(number) FROM unnest($1::bigint[]) AS number"

_logger = logging.getLogger(__name__)


class Permit:
    """Leave to make a value, until it is given back."""

    __slots__ = ("live", "number", "realm")

    def __init__(self, number: int, realm: str) -> None:
        self.number = number
        self.realm = realm
        """The database it is of; empty without a lock."""
        self.live = True


_aboard: ContextVar[frozenset[Permit]] = ContextVar("digitwin_permits", default=frozenset())
"""Those that this task's work was begun under."""


class Locks:
    """The locks of one handle.

    Args:
        connect: makes a connection that no pool knows.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._clock = asyncio.get_running_loop().time
        self._connection: asyncpg.Connection | None = None
        self._realm = ""
        self._held: dict[int, Permit] = {}
        self._asked: dict[int, asyncio.Future[Permit | None]] = {}
        self._given_back: list[int] = []
        self._at_work: asyncio.Task[None] | None = None
        self._without_until = 0.0
        """When, by the event loop's clock, a connection may be tried again."""

    async def take(self, number: int) -> Permit | None:
        """Leave to go on, or None when somebody else has it.

        Raises:
            InvalidStateError: the caller is part of the very work that has it.
        """
        if self._clock() < self._without_until:
            return Permit(number, "")
        if number in self._held or number in self._asked:
            # A session is given its own locks again and again: here they are told apart
            permit = None
        else:
            permit = await self._ask(number)
        if permit is None:
            self._refuse_circle(number)
        return permit

    def give_back(self, permit: Permit) -> None:
        """Let the next one have it; nothing is awaited."""
        permit.live = False
        if self._held.get(permit.number) is permit:
            del self._held[permit.number]
            self._given_back.append(permit.number)
            self._work()

    @contextmanager
    def aboard(self, permit: Permit) -> Iterator[None]:
        """What is awaited here is done under this permit, which is given back after."""
        token = _aboard.set(_aboard.get() | {permit})
        try:
            yield
        finally:
            _aboard.reset(token)
            self.give_back(permit)

    async def close(self) -> None:
        """Give everything back."""
        self._without_until = float("inf")
        self._held.clear()
        if self._at_work is not None:
            self._at_work.cancel()
            await asyncio.wait([self._at_work])
        self._let_through(list(self._asked))
        await self._hang_up()

    async def _ask(self, number: int) -> Permit | None:
        answer: asyncio.Future[Permit | None] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._work()
        try:
            return await answer
        except asyncio.CancelledError:
            if not answer.cancelled() and (permit := answer.result()) is not None:
                self.give_back(permit)  # granted, and cancelled before it could be told
            raise

    def _refuse_circle(self, number: int) -> None:
        for permit in _aboard.get():
            same = permit.number == number and permit.realm == self._realm
            if same and permit.live and permit.realm:
                raise InvalidStateError("A factory asks the cache for the entry that it makes")

    def _work(self) -> None:
        if self._at_work is None:
            self._at_work = asyncio.create_task(
                self._go_on(), name="digitwin cache locks", context=Context()
            )

    async def _go_on(self) -> None:
        try:
            while self._asked or self._given_back:
                await self._serve()
        finally:
            self._at_work = None
            self._let_through(list(self._asked))

    async def _serve(self) -> None:
        """One round: first what is given back, then what is asked for."""
        given_back, self._given_back = self._given_back, []
        wanted = list(self._asked)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._trade(given_back, wanted)
        except (DigiTwinError, *driver_errors.DRIVER) as error:
            _logger.warning("cache: factories may run once a process for a while: %s", error)
            self._without_until = max(self._without_until, self._clock() + RESPITE)
            await self._hang_up()
            self._let_through(wanted)

    async def _trade(self, given_back: list[int], wanted: list[int]) -> None:
        connection = self._connection
        if connection is not None and not connection.is_closed():
            try:
                await self._settle(connection, given_back, wanted)
            except driver_errors.DRIVER:
                pass  # it had ended unnoticed, and with it its locks
            else:
                return
        if wanted:
            await self._settle(await self._call(), [], wanted)

    async def _settle(
        self, connection: asyncpg.Connection, given_back: list[int], wanted: list[int]
    ) -> None:
        if given_back:
            await connection.execute(_GIVE_BACK, given_back)
        if wanted:
            for number, taken in await connection.fetch(_TAKE, wanted):
                self._tell(number, Permit(number, self._realm) if taken else None)

    async def _call(self) -> asyncpg.Connection:
        """A new session; those of the one before it have lost their locks."""
        await self._hang_up()
        connection = self._connection = await self._connect()
        greeting: Any = await connection.fetchrow(_GREETING)
        behind_pooler = greeting[0] != connection.get_server_pid()
        if behind_pooler:
            self._without_until = float("inf")
            raise DigiTwinError("behind a pooler there are no locks of a session")
        await connection.fetchrow(_SETTINGS)
        self._realm = greeting[1]
        return connection

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        self._held.clear()
        if connection is not None:
            await opening.close_once(connection)

    def _tell(self, number: int, permit: Permit | None) -> None:
        answer = self._asked.pop(number)
        if permit is not None and permit.realm:
            self._held[number] = permit
        if not answer.done():
            answer.set_result(permit)
        elif permit is not None:
            self.give_back(permit)

    def _let_through(self, numbers: list[int]) -> None:
        for number in numbers:
            if number in self._asked:
                self._tell(number, Permit(number, ""))
