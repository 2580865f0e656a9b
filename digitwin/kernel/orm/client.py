"""Tortoise's client on the connections of one handle.

Querysets, relations and the SQL of repositories share a connection: the client takes the one of
the task's open transaction, else one from the pool.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import lru_cache
from logging import LogRecord, getLogger
from typing import Any

from tortoise.models import Model

from digitwin.errors import SchemaChangedError, StatementFailedError
from digitwin.kernel.connection import driver_errors
from digitwin.kernel.connection.pool import Pool
from digitwin.kernel.connection.scope_entry import acquire_in, require_role
from digitwin.kernel.connection.scopes import UNSCOPED, Scope
from digitwin.kernel.connection.transactions import Transaction, begin, end
from digitwin.kernel.orm import active_handle
from digitwin.kernel.orm.model_executor import ModelExecutor

log = getLogger("digitwin.sql")

MAX_SCOPED_CLIENTS = 1024
"""Clients of scopes that a handle keeps; an evicted one is made again when it is needed."""


def _without_values(record: LogRecord) -> bool:
    """Log the statement alone: Tortoise logs its values too."""
    if isinstance(record.args, tuple) and record.args:
        record.msg, record.args = "%s", record.args[:1]
    return True


log.addFilter(_without_values)


class HandleClient(active_handle.Client):
    """The Tortoise client of one handle."""

    executor_class = ModelExecutor

    def __init__(self, pool: Pool, scope: Scope = UNSCOPED) -> None:
        super().__init__()
        self.pool = pool
        self.scope = scope
        self.deleter: Callable[[Scope, type[Model]], active_handle.Deleter]
        self.handle = self
        self.log = log
        self.under = lru_cache(MAX_SCOPED_CLIENTS)(self._under)

    def _under(self, scope: Scope) -> HandleClient:
        """Return a client for this scope, whose instances are queried under the scope again."""
        scoped = HandleClient(self.pool, scope)
        scoped.origin, scoped.loop = self.origin_under(scope), self.loop
        scoped.handle = self
        return scoped

    def origin_under(self, scope: Scope) -> str:
        """Return what instances read in this scope carry, for :meth:`for_origin`."""
        return self.origin if scope is UNSCOPED else f"{self.origin}/{scope.text}"

    def for_origin(self, scope: str) -> HandleClient:
        return self.under(Scope.of_text(scope)) if scope else self

    async def delete_instance(self, instance: Any) -> None:
        await self._deleter(type(instance)).one(instance.pk)

    async def delete_found(self, model: type[Model], find: active_handle.Find) -> int:
        return await self._deleter(model).found(find)

    def _deleter(self, model: type[Model]) -> active_handle.Deleter:
        """Return the repository's deletions, in the scope that the client's statements have."""
        transaction = Transaction.of(self.pool)
        scope = _scope_within(transaction, self.scope) if transaction else self.scope
        return self.handle.deleter(scope, model)

    def acquire_connection(self) -> Any:
        return _lend(self.pool, self.scope)

    def _in_transaction(self) -> Any:
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> Any:
        outer = Transaction.of(self.pool)
        block: AbstractAsyncContextManager[Any] = (
            Transaction(self.pool, self.scope)
            if outer is None
            else outer.savepoint(_scope_within(outer, self.scope))
        )
        async with block:
            yield self

    async def execute_many(self, query: str, values: list[Any]) -> None:
        async with self._transaction(), self.acquire_connection() as connection:
            try:
                await connection.executemany(query, values)
            except driver_errors.DRIVER as fault:
                connection.judge(fault)
                raise driver_errors.translate(fault) or fault from fault

    async def _translate_exceptions(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await self._send(func, *args, **kwargs)
        except SchemaChangedError:
            if Transaction.of(self.pool) is not None:
                raise
        except StatementFailedError as error:
            raise await self.pool.explained(error) from error.__cause__
        return await self._send(func, *args, **kwargs)  # the scope's own transaction, once more

    async def _send(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await func(self, *args, **kwargs)
        except driver_errors.DRIVER as fault:
            open_one = Transaction.of(self.pool)
            write = open_one is None and not _is_select(str(args[0]))
            within = open_one and open_one.connection
            raise driver_errors.translate(fault, write=write, within=within) or fault from fault


def _scope_within(transaction: Transaction, scope: Scope) -> Scope:
    """Return the scope for a statement: an unscoped client inherits the transaction's."""
    return transaction.scope if scope is UNSCOPED else scope


@asynccontextmanager
async def _lend(pool: Pool, scope: Scope) -> Any:
    """A connection for one of Tortoise's statements."""
    transaction = Transaction.of(pool)
    if transaction is not None:
        connection = await transaction.under(_scope_within(transaction, scope))
        async with _with_deadline(connection):
            yield connection
        return
    if scope is not UNSCOPED:
        connection, well = await acquire_in(pool, scope), False
        if connection is not None:
            try:
                yield _InScope(connection, scope)
                well = True
            finally:
                await pool.release(connection, well=well)
            return
        async with Transaction(pool, scope) as own, _with_deadline(own.connection):
            yield own.connection
        return
    connection, well = await pool.acquire(), False
    try:
        async with _with_deadline(connection):
            yield connection
        well = True
    finally:
        await pool.release(connection, well=well)


class _InScope:
    """What Tortoise sends on a connection, each statement in one write with the scope."""

    def __init__(self, connection: Any, scope: Scope) -> None:
        self._connection = connection
        self._scope = scope

    async def fetch(self, query: str, *values: Any) -> Any:
        return await self._ask("fetch", query, values)

    async def fetchrow(self, query: str, *values: Any) -> Any:
        return await self._ask("fetchrow", query, values)

    async def execute(self, query: str, *values: Any) -> Any:
        if values:
            return await self._ask("execute", query, values)
        return await self._run_script(query)

    async def _ask(self, method: str, query: str, values: tuple[Any, ...]) -> Any:
        connection, scope = self._connection, self._scope
        try:
            return await connection.ask(method, scope.mark(query), values, scope)
        except driver_errors.DRIVER as fault:
            await require_role(connection, scope, fault)
            raise

    async def _run_script(self, script: str) -> Any:
        """Run what may be several statements, which cannot be prepared, in a transaction."""
        await begin(self._connection, self._scope)
        try:
            done = await self._connection.ask("execute", script)
        except BaseException:
            await end(self._connection, failed=True)
            raise
        await end(self._connection, failed=False)
        return done


@asynccontextmanager
async def _with_deadline(connection: Any) -> Any:
    connection.deadline.begin(connection)
    try:
        yield
    except driver_errors.DRIVER as fault:
        # False means that the deadline closed the connection: that is the cause, not `fault`.
        if not connection.deadline.end(connection):
            raise TimeoutError from fault
        connection.judge(fault)
        raise
    finally:
        connection.deadline.end(connection)


def _is_select(query: str) -> bool:
    return query.lstrip().upper().startswith("SELECT")
