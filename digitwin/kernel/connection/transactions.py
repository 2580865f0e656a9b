"""One connection, one task, all or nothing.

A transaction belongs to the task that opened it. A task started inside inherits the
context but not the right: two tasks on one connection would mix their statements, so it is
refused. Whatever goes wrong at BEGIN, COMMIT or ROLLBACK costs the connection, never the
pool's slot and never the task: the state of such a connection cannot be known cheaply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, TypeAlias

from digitwin.errors import ConnectionFailedError, InvalidStateError
from digitwin.kernel.connection import driver_errors
from digitwin.kernel.connection.pool import RELEASE_TIMEOUT, Pool, cut
from digitwin.kernel.connection.scopes import UNSCOPED, Scope

_current: ContextVar[Transaction | None] = ContextVar("digitwin_transaction", default=None)

LastAct: TypeAlias = Callable[[frozenset[Any]], Awaitable[None]]
"""What a transaction does just before its COMMIT, with all that was asked for by then."""


@contextmanager
def outside() -> Iterator[None]:
    """Run what is awaited here as if no transaction were open around it."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


class Transaction:
    """An open transaction of one handle, found again by whatever runs in the same task.

    ``scope`` is on whose behalf statements run that name none, as those of models do.
    """

    def __init__(self, pool: Pool, scope: Scope = UNSCOPED) -> None:
        self._pool = pool
        self.scope = scope
        self._under: Scope | None = scope
        self._outer = _current.get()
        self._owner: asyncio.Task[Any] | None = None
        self._token: Token[Transaction | None] | None = None
        self._savepoints = 0
        self._last_acts: dict[LastAct, frozenset[Hashable]] = {}
        self._end_acts: list[Callable[[], None]] = []
        self.connection: Any = None

    @staticmethod
    def of(pool: Pool) -> Transaction | None:
        """The transaction this task has open on this pool, if any.

        Raises:
            InvalidStateError: it belongs to another task, which has not finished it.
        """
        frame = _current.get()
        while frame is not None and (frame._pool is not pool or frame.connection is None):
            frame = frame._outer
        if frame is not None and frame._owner is not asyncio.current_task():
            raise InvalidStateError(
                "A transaction belongs to the task that opened it: this task was started inside"
                " and cannot join. Await the call in the transaction's own task, or start the"
                " task before it (on Python 3.11 `asyncio.wait_for` starts one as well;"
                " `asyncio.timeout` does not)"
            )
        return frame

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
                await self._act_last()
                failed = False
        finally:
            await self._leave(failed)

    def at_commit(self, act: LastAct, item: Hashable) -> None:
        """Have ``act`` called once, just before COMMIT, with every item asked for until then.

        For what takes locks that others should not wait on while this transaction goes on.
        What a savepoint takes back is not asked for any more.
        """
        self._last_acts = self._last_acts | {act: self._last_acts.get(act, frozenset()) | {item}}

    def at_end(self, act: Callable[[], None]) -> None:
        """Have ``act`` called once this transaction has ended, in whatever way."""
        self._end_acts.append(act)

    async def under(self, scope: Scope) -> Any:
        """The connection, its next statement on behalf of ``scope``.

        Where it stands is known only after success: what fails half-way is set again.
        """
        if self._under != scope:
            self._under = None
            await _set_scope(self.connection, scope)
            self._under = scope
        return self.connection

    async def _act_last(self) -> None:
        for act, items in self._last_acts.items():
            await act(items)

    async def _leave(self, failed: bool) -> None:
        connection, self.connection, well = self.connection, None, False
        assert self._token is not None
        _current.reset(self._token)
        try:
            await end(connection, failed=failed)
            well = not failed
        finally:
            for act in self._end_acts:
                act()
            await self._pool.release_long(connection, well=well)

    def savepoint(self, scope: Scope | None = None) -> Savepoint:
        """A transaction inside this one, and on behalf of ``scope`` if it says."""
        self._savepoints += 1
        return Savepoint(self, f"digitwin_{self._savepoints}", scope or self.scope)


class Savepoint:
    """An inner transaction: its failure leaves the outer one usable."""

    def __init__(self, outer: Transaction, name: str, scope: Scope) -> None:
        self._outer = outer
        self._name = name
        self._scopes = scope, outer.scope
        self._last_acts = outer._last_acts

    async def __aenter__(self) -> Transaction:
        await self._run(f"SAVEPOINT {self._name}")
        self._outer.scope = self._scopes[0]
        return self._outer

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._outer.scope = self._scopes[1]
        if kind is None:
            await self._run(f"RELEASE SAVEPOINT {self._name}")
        else:
            self._outer._last_acts = self._last_acts
            self._outer._under = None  # whatever the savepoint found is set again
            await _roll_back(self._outer.connection, f"ROLLBACK TO SAVEPOINT {self._name}")

    async def _run(self, statement: str) -> None:
        try:
            await self._outer.connection.ask("execute", statement)
        except driver_errors.DRIVER as fault:
            raise driver_errors.translate(fault) or fault from fault


async def begin(connection: Any, scope: Scope = UNSCOPED) -> None:
    """Open a transaction on behalf of ``scope`` in one message, or give the connection up.

    Raises:
        ConfigurationError: the scope's role is missing, or not given to whoever logged in.
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
        raise driver_errors.of_role(fault, scope.role) or fault from fault


async def end(connection: Any, *, failed: bool, write: bool = True) -> None:
    """Commit, or roll back what failed; without ``write`` nothing can be lost.

    Raises:
        OutcomeUnknownError: COMMIT was sent and its answer was lost.
        InvalidStateError: the database rolled back, because an error was swallowed inside.
    """
    if failed:
        await _roll_back(connection, "ROLLBACK")
    else:
        await _commit(connection, write=write)


async def _commit(connection: Any, *, write: bool) -> None:
    try:
        tag = await connection.ask("execute", "COMMIT")
    except asyncio.CancelledError:
        cut(connection)
        raise
    except driver_errors.DRIVER as fault:
        error = driver_errors.translate(fault, write=write)
        if isinstance(error, ConnectionFailedError):
            cut(connection)
        raise error or fault from fault
    if tag != "COMMIT":
        raise InvalidStateError(
            "A statement inside the transaction failed and its error was swallowed, so the"
            " database rolled everything back: use a nested transaction around what may fail"
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
