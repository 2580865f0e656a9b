"""Transactions and savepoints.

A transaction belongs to the task that opened it. A task started inside inherits its context but
is refused, since two tasks on one connection would mix their statements. If BEGIN, COMMIT or
ROLLBACK fails, the connection is closed, because its state is unknown; the pool and the task
stay usable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, TypeAlias

from digitwin.errors import ConnectionFailedError, InvalidStateError
from digitwin.kernel.connection import attempts, driver_errors
from digitwin.kernel.connection.connections import cut
from digitwin.kernel.connection.pool import RELEASE_TIMEOUT, Pool
from digitwin.kernel.connection.scopes import UNSCOPED, Scope

_current: ContextVar[Transaction | None] = ContextVar("digitwin_transaction", default=None)

CommitHook: TypeAlias = Callable[[frozenset[Any]], Awaitable[None]]
"""Called just before COMMIT with all items registered for it."""


@contextmanager
def outside() -> Iterator[None]:
    """Run the block as if no transaction were open."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


def disinherit() -> None:
    """Forget the open transaction, which is another process's."""
    _current.set(None)


class Transaction:
    """An open transaction of one handle, found by other calls through a context variable.

    ``scope`` applies to statements that have no scope of their own, such as those of models.
    """

    def __init__(self, pool: Pool, scope: Scope = UNSCOPED) -> None:
        self._pool = pool
        self.scope = scope
        self._current_scope: Scope | None = scope
        self._outer = _current.get()
        self._owner: asyncio.Task[Any] | None = None
        self._token: Token[Transaction | None] | None = None
        self._savepoints = 0
        self._commit_hooks: dict[CommitHook, frozenset[Hashable]] = {}
        self._end_hooks: list[Callable[[], None]] = []
        self.connection: Any = None

    @staticmethod
    def of(pool: Pool) -> Transaction | None:
        """Return the transaction this task has open on this pool, if any.

        Raises:
            InvalidStateError: it belongs to the task that started this one.
        """
        transaction = _current.get()
        while transaction is not None and (
            transaction._pool is not pool or transaction.connection is None
        ):
            transaction = transaction._outer
        if transaction is not None and transaction._owner is not asyncio.current_task():
            raise InvalidStateError(
                "A transaction belongs to the task that opened it: this task was started inside"
                " and cannot join. Await the call in the transaction's own task, or start the"
                " task before the transaction (on Python 3.11 `asyncio.wait_for` starts a task as"
                " well; `asyncio.timeout` does not)"
            )
        return transaction

    async def __aenter__(self) -> Transaction:
        connection = await self._pool.acquire_long()
        try:
            await begin(connection, self.scope)
        except BaseException:
            await self._pool.release_long(connection)
            raise
        self._owner = asyncio.current_task()
        self.connection = connection
        self._token = _current.set(self)
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        failed = True
        try:
            if kind is None:
                await self._run_commit_hooks()
                failed = False
        finally:
            await self._leave(failed)

    def at_commit(self, hook: CommitHook, item: Hashable) -> None:
        """Call ``hook`` once, just before COMMIT, with all items registered for it.

        For locks that should be held as short as possible. A rollback to a savepoint discards
        items registered since.
        """
        self._commit_hooks = self._commit_hooks | {
            hook: self._commit_hooks.get(hook, frozenset()) | {item}
        }

    def at_end(self, hook: Callable[[], None]) -> None:
        """Call ``hook`` once this transaction has ended, committed or not."""
        self._end_hooks.append(hook)

    async def under(self, scope: Scope) -> Any:
        """Return the connection, set to ``scope`` for the next statement.

        The current scope is unknown until the change succeeds; after a failure it is set again.
        """
        if self._current_scope != scope:
            self._current_scope = None
            await _set_scope(self.connection, scope)
            self._current_scope = scope
        return self.connection

    async def _run_commit_hooks(self) -> None:
        for hook, items in self._commit_hooks.items():
            await hook(items)

    async def _leave(self, failed: bool) -> None:
        connection, self.connection, well = self.connection, None, False
        assert self._token is not None
        _current.reset(self._token)
        try:
            await end(connection, failed=failed)
            well = not failed
        finally:
            for hook in self._end_hooks:
                hook()
            await self._pool.release_long(connection, well=well)

    def savepoint(self, scope: Scope | None = None) -> Savepoint:
        """Return a savepoint; statements inside run in ``scope`` if given."""
        self._savepoints += 1
        return Savepoint(self, f"digitwin_{self._savepoints}", scope or self.scope)


class Savepoint:
    """A nested transaction: its rollback leaves the outer one usable."""

    def __init__(self, outer: Transaction, name: str, scope: Scope) -> None:
        self._outer = outer
        self._name = name
        self._scopes = scope, outer.scope
        self._commit_hooks = outer._commit_hooks

    async def __aenter__(self) -> Transaction:
        await self._run(f"SAVEPOINT {self._name}")
        self._outer.scope = self._scopes[0]
        return self._outer

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._outer.scope = self._scopes[1]
        if kind is None:
            await self._run(f"RELEASE SAVEPOINT {self._name}")
        else:
            self._outer._commit_hooks = self._commit_hooks
            self._outer._current_scope = None  # the rollback may have changed it: set it again
            await _roll_back(self._outer.connection, f"ROLLBACK TO SAVEPOINT {self._name}")

    async def _run(self, statement: str) -> None:
        try:
            await self._outer.connection.ask("execute", statement)
        except driver_errors.DRIVER as fault:
            error = driver_errors.translate(fault, within=self._outer.connection)
            raise error or fault from fault


async def begin(connection: Any, scope: Scope = UNSCOPED) -> None:
    """Open a transaction in ``scope`` with one round trip; close the connection on failure.

    Raises:
        ConfigurationError: the scope's role is missing, or not granted to this login.
    """
    try:
        if scope is UNSCOPED:
            await connection.ask("execute", "BEGIN")
        else:
            await connection.ask("execute", f"BEGIN; {scope.sql}")
    except driver_errors.DRIVER as fault:
        cut(connection)
        raise driver_errors.of_role(fault, scope.role) or fault from fault
    except BaseException:
        cut(connection)
        raise


async def _set_scope(connection: Any, scope: Scope) -> None:
    try:
        await connection.ask("execute", scope.sql)
    except driver_errors.DRIVER as fault:
        raise driver_errors.of_role(fault, scope.role, within=connection) or fault from fault


async def end(connection: Any, *, failed: bool, write: bool = True) -> None:
    """Commit, or roll back if ``failed``.

    Args:
        connection: in a transaction.
        failed: roll back.
        write: the transaction changed rows, so that a lost reply leaves its outcome unknown.

    Raises:
        OutcomeUnknownError: COMMIT was sent and its reply was lost.
        InvalidStateError: the database rolled back, because a statement's error was swallowed.
    """
    if failed:
        await _roll_back(connection, "ROLLBACK")
    else:
        if write:
            attempts.storing()
        await _commit(connection, write=write)


async def _commit(connection: Any, *, write: bool) -> None:
    try:
        tag = await connection.ask("execute", "COMMIT")
    except asyncio.CancelledError:
        cut(connection)
        raise
    except driver_errors.DRIVER as fault:
        error = driver_errors.translate(fault, write=write, within=connection)
        if isinstance(error, ConnectionFailedError):
            cut(connection)
        raise error or fault from fault
    if tag != "COMMIT":
        raise InvalidStateError(
            "A statement inside the transaction failed and its error was swallowed, so the"
            " database rolled back: use a nested transaction around statements that may fail"
        )


async def _roll_back(connection: Any, statement: str) -> None:
    if connection.is_closed():
        return
    try:
        async with asyncio.timeout(RELEASE_TIMEOUT):
            await connection.ask("execute", statement)
    except driver_errors.DRIVER:
        cut(connection)
    except BaseException:
        cut(connection)
        raise
