"""Sends statements and returns their rows.

:class:`Executor` is the ordinary way: a statement runs in the task's open transaction, else it
borrows a connection for as long as it runs. :class:`OnConnection` runs all of them on one
connection that already is in a transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from typing import Any

from asyncpg import Record

from digitwin.errors import ScopeRequiredError
from digitwin.kernel.connection import driver_errors
from digitwin.kernel.connection.pool import Pool, cut
from digitwin.kernel.connection.scopes import UNSCOPED, Scope
from digitwin.kernel.connection.transactions import Transaction, begin, end
from digitwin.kernel.sql.queries import Query, writes_rows

Before = Callable[[], Awaitable[None]]
"""Awaited before each statement; what it raises keeps the statement from being sent."""


class Statements:
    """The four ways to send a statement.

    A named query takes its values by name, plain SQL by position. When the answer to one that
    writes is lost outside a transaction, the error says that its outcome is unknown.

    Raises (all methods):
        DigiTwinError: the driver's error, translated.
    """

    def fetch(
        self, query: Query | str, /, *args: Any, **values: Any
    ) -> Coroutine[Any, Any, list[Record]]:
        """Return all rows."""
        return self._run("fetch", *_bound(query, args, values))

    def fetchrow(
        self, query: Query | str, /, *args: Any, **values: Any
    ) -> Coroutine[Any, Any, Record | None]:
        """Return the first row."""
        return self._run("fetchrow", *_bound(query, args, values))

    def fetchval(
        self, query: Query | str, /, *args: Any, **values: Any
    ) -> Coroutine[Any, Any, Any]:
        """Return the first column of the first row."""
        return self._run("fetchval", *_bound(query, args, values))

    def execute(self, query: Query | str, /, *args: Any, **values: Any) -> Coroutine[Any, Any, str]:
        """Return the command tag of a statement that changes something."""
        sql, given, _ = _bound(query, args, values)
        return self._run("execute", sql, given, True)

    async def _run(self, method: str, sql: str, args: Sequence[Any], writes: bool) -> Any:
        raise NotImplementedError


def _bound(
    query: Query | str, args: tuple[Any, ...], values: Mapping[str, Any]
) -> tuple[str, Sequence[Any], bool]:
    if isinstance(query, Query):
        return query.sql, query.bind(values), query.writes
    if values:
        raise TypeError("plain SQL takes its values by position")
    return query, args, writes_rows(query)


class OnConnection(Statements):
    """Statements on one connection inside a transaction."""

    def __init__(self, connection: Any, scope: Scope | None = None) -> None:
        self.connection = connection
        self._scope = scope

    async def _run(self, method: str, sql: str, args: Sequence[Any], writes: bool) -> Any:
        try:
            return await self.connection.ask(method, sql, *args)
        except driver_errors.DRIVER as fault:
            refused = driver_errors.unscoped(fault) if self._scope is UNSCOPED else None
            raise refused or driver_errors.translate(fault) or fault from fault


class Executor(Statements):
    """Statements in the task's open transaction, if there is one, else each by itself.

    Under a scope, a statement by itself is a short transaction: role and person end with it.

    Args:
        joins: False keeps statements out of the open transaction: each commits by itself. The
            cache and the limiter need that, since a rollback must not refund tokens.
        before: awaited before each statement.
    """

    def __init__(
        self,
        pool: Pool,
        scope: Scope = UNSCOPED,
        *,
        joins: bool = True,
        before: Before | None = None,
    ) -> None:
        self._pool = pool
        self._scope = scope
        self._joins = joins
        self._before = before

    async def _run(self, method: str, sql: str, args: Sequence[Any], writes: bool) -> Any:
        if self._before is not None:
            await self._before()
        frame = Transaction.of(self._pool) if self._joins else None
        if frame is not None:
            on = OnConnection(await frame.under(self._scope), self._scope)
            return await on._run(method, self._scope.mark(sql), args, writes)
        if self._scope is not UNSCOPED:
            async with self._short(writes=writes) as on:
                return await on._run(method, self._scope.mark(sql), args, writes)
        connection = await self._pool.acquire()
        try:
            answer = await connection.ask(method, sql, *args)
        except driver_errors.DRIVER as fault:
            if isinstance(fault, driver_errors.OUT_OF_STEP):
                cut(connection)
            await self._pool.release(connection)
            error = driver_errors.unscoped(fault) or driver_errors.translate(fault, write=writes)
            raise error or fault from fault
        except BaseException:
            await self._pool.release(connection)
            raise
        await self._pool.release(connection, well=True)
        return answer

    def transaction(self) -> AbstractAsyncContextManager[Statements]:
        """A short transaction of its own for a few statements, with nothing else awaited inside."""
        return self._short(writes=True)

    @asynccontextmanager
    async def _short(self, *, writes: bool) -> AsyncIterator[OnConnection]:
        connection, well = await self._pool.acquire(), False
        try:
            await begin(connection, self._scope)
            try:
                yield OnConnection(connection)
            except BaseException:
                await end(connection, failed=True)
                raise
            await end(connection, failed=False, write=writes)
            well = True
        finally:
            await self._pool.release(connection, well=well)

    async def stream(
        self, query: Query | str, /, *args: Any, batch: int = 500, **values: Any
    ) -> AsyncGenerator[Record, None]:
        """Yield rows from a cursor on the server, ``batch`` at a time, in constant memory."""
        if self._before is not None:
            await self._before()
        sql, given, _ = _bound(query, args, values)
        frame = Transaction.of(self._pool) if self._joins else None
        rows = (
            self._stream_alone(sql, given, batch)
            if frame is None
            else _cursor(partial(frame.under, self._scope), sql, given, batch)
        )
        async with aclosing(rows):
            async for row in rows:
                yield row

    async def _stream_alone(
        self, sql: str, args: Sequence[Any], batch: int
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


class Once:
    """A ``before`` that does its work before the first statement; later ones wait for it."""

    def __init__(self, work: Callable[[], Awaitable[object]]) -> None:
        self._work: Callable[[], Awaitable[object]] | None = work
        self._turn = asyncio.Lock()

    async def __call__(self) -> None:
        async with self._turn:
            if self._work is not None:
                await self._work()
                self._work = None


async def refuse() -> None:
    """A ``before`` that refuses every statement: the handle requires a scope."""
    raise ScopeRequiredError(
        "This handle was opened with scope='required': name the person with db.for_user(user_id),"
        " or use db.for_service(reason=…) for work across people"
    )


async def _itself(connection: Any) -> Any:
    return connection


async def _cursor(
    taken: Callable[[], Awaitable[Any]], sql: str, args: Sequence[Any], batch: int
) -> AsyncGenerator[Record, None]:
    """Rows of one statement; policies read their person at every fetch, so it is set anew."""
    try:
        connection = await taken()
        async for row in connection.cursor(
            sql, *args, prefetch=batch, timeout=connection.deadline.limit
        ):
            yield row
            await taken()
    except driver_errors.DRIVER as fault:
        raise driver_errors.translate(fault) or fault from fault
