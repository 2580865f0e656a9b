"""Executes statements.

:class:`Executor` runs a statement in the task's open transaction, else on a pooled connection.
:class:`OnConnection` runs statements on one connection that is already in a transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Hashable,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from typing import Any

from asyncpg import Record

from digitwin.errors import DigiTwinError, SchemaChangedError, ScopeRequiredError
from digitwin.kernel.connection import attempts, driver_errors
from digitwin.kernel.connection.pool import Pool
from digitwin.kernel.connection.scope_entry import acquire_in, require_role
from digitwin.kernel.connection.scopes import UNSCOPED, Scope
from digitwin.kernel.connection.transactions import Transaction, begin, end
from digitwin.kernel.sql.queries import Query, writes_rows

Before = Callable[[], Awaitable[None]]
"""Awaited before each statement; if it raises, the statement is not sent."""


class Statements:
    """The interface for executing statements.

    A :class:`Query` takes its values by name, plain SQL by position. If the reply to a writing
    statement outside a transaction is lost, the error is ``OutcomeUnknownError``.

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
        raise TypeError("plain SQL takes values by position")
    return query, args, writes_rows(query)


class OnConnection(Statements):
    """Statements on one connection inside a transaction."""

    def __init__(self, connection: Any, scope: Scope | None = None) -> None:
        self.connection = connection
        self._scope = scope

    async def _run(self, method: str, sql: str, args: Sequence[Any], writes: bool) -> Any:
        try:
            return await self.connection.ask(method, sql, args)
        except driver_errors.DRIVER as fault:
            refused = driver_errors.unscoped(fault) if self._scope is UNSCOPED else None
            error = refused or driver_errors.translate(fault, within=self.connection)
            raise error or fault from fault


class Executor(Statements):
    """Runs statements in the task's open transaction, else each on its own.

    In a scope, a statement on its own is sent behind a message that sets role and person for it, in
    the same implicit transaction; or within a short transaction, where that is not possible.

    Args:
        pool: supplies connections.
        scope: the role and person of statements.
        joins: False: never join the open transaction, so that each statement commits on its own.
            Cache and limiter need that, since a rollback must not refund tokens.
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

    @property
    def sharing(self) -> Hashable:
        """Statements of executors with an equal value run alike, so that callers may share one."""
        return self._scope if self._before is None else self

    async def _run(self, method: str, sql: str, args: Sequence[Any], writes: bool) -> Any:
        if self._before is not None:
            await self._before()
        transaction = Transaction.of(self._pool) if self._joins else None
        if transaction is not None:
            on = OnConnection(await transaction.under(self._scope), self._scope)
            return await on._run(method, self._scope.mark(sql), args, writes)
        if self._scope is UNSCOPED:
            scope = None
            connection = self._pool.take() or await self._pool.acquire()
        else:
            scope, sql = self._scope, self._scope.mark(sql)
            connection = await acquire_in(self._pool, scope)
            if connection is None:
                return await self._in_a_transaction(method, sql, args, writes)
        if writes:
            attempts.storing()
        try:
            answer = await connection.ask(method, sql, args, scope)
        except driver_errors.DRIVER as fault:
            try:
                error = await self._explained(fault, connection, scope, writes)
            finally:
                await self._pool.release(connection)
            raise error or fault from fault
        except BaseException:
            await self._pool.release(connection)
            raise
        if not self._pool.reuse(connection):
            await self._pool.release(connection)
        return answer

    async def _explained(
        self, fault: BaseException, connection: Any, scope: Scope | None, writes: bool
    ) -> DigiTwinError | None:
        """Return the error for a failed statement; of a scope, ask whether its role is at fault."""
        if scope is None:
            return driver_errors.unscoped(fault) or driver_errors.translate(fault, write=writes)
        await require_role(connection, scope, fault)
        return driver_errors.translate(fault, write=writes)

    async def _in_a_transaction(
        self, method: str, sql: str, args: Sequence[Any], writes: bool
    ) -> Any:
        """Set the scope in a message of its own, and commit in another."""
        try:
            async with self._short(writes=writes) as on:
                return await on._run(method, sql, args, writes)
        except SchemaChangedError:
            pass  # rolled back: run it again, once
        async with self._short(writes=writes) as on:
            return await on._run(method, sql, args, writes)

    def transaction(self) -> AbstractAsyncContextManager[Statements]:
        """Open a short transaction of its own; await nothing but its statements inside."""
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
        """Yield rows from a server-side cursor, ``batch`` at a time, in constant memory."""
        if self._before is not None:
            await self._before()
        sql, given, _ = _bound(query, args, values)
        transaction = Transaction.of(self._pool) if self._joins else None
        final = transaction is not None
        while True:
            rows = (
                self._stream_unjoined(sql, given, batch)
                if transaction is None
                else cursor(partial(transaction.under, self._scope), sql, given, batch)
            )
            try:
                async with aclosing(rows):
                    async for row in rows:
                        final = True
                        yield row
                return
            except SchemaChangedError:
                if final:
                    raise
                final = True  # nothing was yielded: run it again, once

    async def _stream_unjoined(
        self, sql: str, args: Sequence[Any], batch: int
    ) -> AsyncGenerator[Record, None]:
        connection, well = await self._pool.acquire_long(), False
        try:
            await begin(connection, self._scope)
            try:
                own = partial(_constant, connection)
                async with aclosing(cursor(own, sql, args, batch)) as rows:
                    async for row in rows:
                        yield row
                well = True
            finally:
                await end(connection, failed=True)
        finally:
            await self._pool.release_long(connection, well=well)


class RunOnce:
    """A ``before`` that runs once; concurrent statements wait for it. Retried if it fails."""

    def __init__(self, work: Callable[[], Awaitable[object]]) -> None:
        self._work: Callable[[], Awaitable[object]] | None = work
        self._turn = asyncio.Lock()

    async def __call__(self) -> None:
        async with self._turn:
            if self._work is not None:
                await self._work()
                self._work = None


async def refuse() -> None:
    """A ``before`` that refuses every statement, on a handle with ``scope="required"``."""
    raise ScopeRequiredError(
        "This handle was opened with scope='required': use db.for_user(user_id), or"
        " db.for_service(reason=…) for work across people"
    )


async def _constant(connection: Any) -> Any:
    return connection


async def cursor(
    acquire: Callable[[], Awaitable[Any]], sql: str, args: Sequence[Any], batch: int
) -> AsyncGenerator[Record, None]:
    """Yield rows of a cursor; row security applies to each fetch, so set the scope again."""
    connection = await acquire()
    try:
        async for row in connection.cursor(
            sql, *args, prefetch=batch, timeout=connection.deadline.limit
        ):
            yield row
            await acquire()
    except driver_errors.DRIVER as fault:
        connection.judge(fault)
        error = driver_errors.translate(fault, within=connection)
        if isinstance(error, SchemaChangedError):  # asyncpg would keep a cursor's statement
            await connection.reload_schema_state()
            connection.forget()
        raise error or fault from fault
