"""Statements, sent and answered.

``Joining`` runs them in the task's open transaction, if there is one; ``Aside`` never does.
A statement outside a transaction borrows a connection for as long as it runs, no longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from typing import Any

from asyncpg import Record

from digitwin.errors import ScopeRequiredError
from digitwin.kernel.connection import driver_errors
from digitwin.kernel.connection.pool import Pool, cut
from digitwin.kernel.connection.scopes import UNSCOPED, Scope
from digitwin.kernel.connection.transactions import Transaction, begin, end


class Executor:
    """The four ways to send a statement.

    ``write=True`` marks one that changes rows: when its answer is lost outside a
    transaction, nobody knows whether it was stored, and the error says so.

    Raises (all methods):
        DigiTwinError: of the kind that fits; no error of the driver comes through.
    """

    async def fetch(self, sql: str, *args: Any, write: bool = False) -> list[Record]:
        """All rows."""
        rows: list[Record] = await self._run("fetch", sql, args, write)
        return rows

    async def fetchrow(self, sql: str, *args: Any, write: bool = False) -> Record | None:
        """The first row."""
        row: Record | None = await self._run("fetchrow", sql, args, write)
        return row

    async def fetchval(self, sql: str, *args: Any, write: bool = False) -> Any:
        """The first column of the first row."""
        return await self._run("fetchval", sql, args, write)

    async def execute(self, sql: str, *args: Any) -> str:
        """The command tag of a statement that changes something."""
        tag: str = await self._run("execute", sql, args, True)
        return tag

    async def _run(self, method: str, sql: str, args: tuple[Any, ...], write: bool) -> Any:
        raise NotImplementedError


class OnConnection(Executor):
    """Statements on one connection inside a transaction."""

    def __init__(self, connection: Any, scope: Scope | None = None) -> None:
        self.connection = connection
        self._scope = scope

    async def _run(self, method: str, sql: str, args: tuple[Any, ...], write: bool) -> Any:
        try:
            return await self.connection.ask(method, sql, *args)
        except driver_errors.DRIVER as fault:
            refused = driver_errors.unscoped(fault) if self._scope is UNSCOPED else None
            raise refused or driver_errors.translate(fault) or fault from fault


class Aside(Executor):
    """Statements that commit by themselves, whatever transaction is open around them.

    On behalf of a scope each is a short transaction: its role and its person end with it.
    """

    def __init__(self, pool: Pool, scope: Scope = UNSCOPED) -> None:
        self._pool = pool
        self._scope = scope

    def _frame(self) -> Transaction | None:
        """The transaction that statements belong to."""
        return None

    async def _run(self, method: str, sql: str, args: tuple[Any, ...], write: bool) -> Any:
        frame = self._frame()
        if frame is not None:
            on = OnConnection(await frame.under(self._scope), self._scope)
            return await on._run(method, self._scope.mark(sql), args, write)
        if self._scope is not UNSCOPED:
            async with self._short(write=write) as on:
                return await on._run(method, self._scope.mark(sql), args, write)
        connection = await self._pool.acquire()
        try:
            answer = await connection.ask(method, sql, *args)
        except driver_errors.DRIVER as fault:
            if isinstance(fault, driver_errors.OUT_OF_STEP):
                cut(connection)
            await self._pool.release(connection)
            raise (
                driver_errors.unscoped(fault)
                or driver_errors.translate(fault, write=write)
                or fault
            ) from fault
        except BaseException:
            await self._pool.release(connection)
            raise
        await self._pool.release(connection, well=True)
        return answer

    def transaction(self) -> AbstractAsyncContextManager[Executor]:
        """A few statements that stand or fall together, with nothing awaited between them."""
        return self._short(write=True)

    @asynccontextmanager
    async def _short(self, *, write: bool) -> AsyncIterator[OnConnection]:
        connection, well = await self._pool.acquire(), False
        try:
            await begin(connection, self._scope)
            try:
                yield OnConnection(connection)
            except BaseException:
                await end(connection, failed=True)
                raise
            await end(connection, failed=False, write=write)
            well = True
        finally:
            await self._pool.release(connection, well=well)

    async def stream(self, sql: str, *args: Any, batch: int = 500) -> AsyncGenerator[Record, None]:
        """Rows through a cursor on the server, ``batch`` at a time, in constant memory."""
        frame = self._frame()
        rows = (
            self._stream_alone(sql, args, batch)
            if frame is None
            else _cursor(partial(frame.under, self._scope), sql, args, batch)
        )
        async with aclosing(rows):
            async for row in rows:
                yield row

    async def _stream_alone(
        self, sql: str, args: tuple[Any, ...], batch: int
    ) -> AsyncGenerator[Record, None]:
        connection, well = await self._pool.acquire_long(), False
        try:
            await begin(connection, self._scope)
            try:
                own = partial(_itself, connection)
                async with aclosing(_cursor(own, sql, args, batch)) as rows:
                    async for row in rows:
                        yield row
                well = True
            finally:
                await end(connection, failed=True)
        finally:
            await self._pool.release_long(connection, well=well)


class Joining(Aside):
    """Statements that belong to the task's open transaction, or stand alone without one."""

    def _frame(self) -> Transaction | None:
        return Transaction.of(self._pool)


class Announced(Joining):
    """As :class:`Joining`, whose first statement waits until it was said that it comes."""

    def __init__(self, pool: Pool, scope: Scope, announce: Callable[[], Awaitable[object]]) -> None:
        super().__init__(pool, scope)
        self._announce: Callable[[], Awaitable[object]] | None = announce
        self._turn = asyncio.Lock()

    async def _run(self, method: str, sql: str, args: tuple[Any, ...], write: bool) -> Any:
        await self._announced()
        return await super()._run(method, sql, args, write)

    async def stream(self, sql: str, *args: Any, batch: int = 500) -> AsyncGenerator[Record, None]:
        await self._announced()
        async with aclosing(super().stream(sql, *args, batch=batch)) as rows:
            async for row in rows:
                yield row

    async def _announced(self) -> None:
        async with self._turn:
            if self._announce is not None:
                await self._announce()
                self._announce = None


class Refusing(Joining):
    """Where nothing runs without a scope."""

    async def _run(self, method: str, sql: str, args: tuple[Any, ...], write: bool) -> Any:
        raise ScopeRequiredError(_NAME_THEM)

    async def stream(self, sql: str, *args: Any, batch: int = 500) -> AsyncGenerator[Record, None]:
        raise ScopeRequiredError(_NAME_THEM)
        yield  # an asynchronous generator, as its base is


_NAME_THEM = (
    "This handle was opened with scope='required': name the person with db.for_user(user_id),"
    " or say with db.for_service(reason=…) why the work is across people"
)


async def _itself(connection: Any) -> Any:
    return connection


async def _cursor(
    taken: Callable[[], Awaitable[Any]], sql: str, args: tuple[Any, ...], batch: int
) -> AsyncGenerator[Record, None]:
    """Rows of one statement; policies read their person at every fetch, so it is set anew."""
    try:
        connection = await taken()
        async for row in connection.cursor(
            sql, *args, prefetch=batch, timeout=connection.watch.limit
        ):
            yield row
            await taken()
    except driver_errors.DRIVER as fault:
        raise driver_errors.translate(fault) or fault from fault
