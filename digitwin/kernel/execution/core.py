"""The core of a handle, shared by its repositories: settings, pool and running operations."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterator,
    Callable,
    Hashable,
    Iterator,
)
from contextlib import (
    AbstractAsyncContextManager,
    _GeneratorContextManager,
    asynccontextmanager,
    contextmanager,
)
from contextvars import Token
from typing import Any, TypeVar

from digitwin.errors import ClosedError, DigiTwinError, InvalidStateError
from digitwin.kernel.connection import attempts, forking, transactions
from digitwin.kernel.connection.attempts import Attempt
from digitwin.kernel.connection.pool import Pool
from digitwin.kernel.connection.scopes import UNSCOPED, Scope
from digitwin.kernel.connection.transactions import CommitHook, Transaction
from digitwin.kernel.execution.executor import Before, Executor, refuse
from digitwin.kernel.execution.pool_floor import PoolFloor
from digitwin.kernel.orm import active_handle
from digitwin.kernel.orm.client import HandleClient
from digitwin.settings import Settings

T = TypeVar("T")


class Work(Attempt):
    """A running operation; nested calls belong to it, even while the handle closes."""

    __slots__ = ("client_token", "core", "live", "work_token")

    work_token: Token[Attempt | None]
    client_token: Token[active_handle.Client | None]

    def __init__(self, core: Core) -> None:
        super().__init__()
        self.core = core
        self.live = True


class Core:
    """Internal state of a handle; repositories hold it, users do not see it."""

    scope: Scope = UNSCOPED

    def __init__(self, settings: Settings, pool: Pool, *, reads_only: bool = False) -> None:
        self.settings = settings
        self.pool = pool
        self.reads_only = reads_only
        """Whether the handle was opened for a server that accepts no writes."""
        self.loop = asyncio.get_running_loop()
        self.client = HandleClient(pool)
        self.origin = self.client.origin
        """What instances carry, so that their own queries go where they come from."""
        self.floor = PoolFloor(pool, settings.pool_min)
        self.db = Executor(pool)
        self.aside = Executor(pool, joins=False)
        self.closing = False
        self.inherited = False
        """Whether this process was forked from the one that opened the handle."""
        self._shared: dict[Callable[[Core], Any], Any] = {}
        self._running = 0
        self._idle = asyncio.Event()
        active_handle.register(self.client)
        forking.in_child(self._disinherit)

    def scoped(self, scope: Scope, *, before: Before | None = None) -> ScopedCore:
        """Return a core whose statements run in ``scope``; ``aside`` stays unscoped.

        Args:
            scope: the role and person.
            before: awaited before each statement.
        """
        return ScopedCore(self, scope, before)

    def refusing(self) -> ScopedCore:
        """Return a core that refuses every statement, for handles that require a scope."""
        return ScopedCore(self, UNSCOPED, refuse)

    def shared(self, kind: Callable[[Core], T]) -> T:
        """Return the handle's only ``kind``, whichever scope asks; made when first asked for."""
        found: T | None = self._shared.get(kind)
        if found is None:
            found = self._shared[kind] = kind(self)
        return found

    @contextmanager
    def working(self) -> Iterator[None]:
        """Run an operation: activate this handle, and count the operation until it ends.

        Raises:
            ClosedError: the handle is closed or closing.
            InvalidStateError: it was opened on another event loop, or in another process.
        """
        if self.within():
            yield
            return
        work = self.begin()
        try:
            yield
        finally:
            self.end(work)

    def within(self) -> bool:
        """Return whether the caller is inside a running operation of this handle."""
        work = attempts.current.get()
        return isinstance(work, Work) and work.core is self and work.live

    def begin(self) -> Work:
        """Start an operation; :meth:`end` must follow. Errors as :meth:`working`."""
        self._admit()
        self._running += 1
        work = Work(self)
        work.work_token = attempts.current.set(work)
        work.client_token = active_handle.activate(self.client)
        return work

    def end(self, work: Work) -> None:
        """End an operation."""
        work.live = False
        active_handle.deactivate(work.client_token)
        attempts.current.reset(work.work_token)
        self._finished()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """As :meth:`working`, for generators: context variables would leak to the consumer."""
        if not self.within():
            self._admit()
        self._running += 1
        try:
            yield
        finally:
            self._finished()

    def _finished(self) -> None:
        self._running -= 1
        if not self._running and self.closing:
            self._idle.set()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Open a transaction across repositories; nested: a savepoint."""
        with self.working():
            async with self._new_transaction():
                yield

    async def at_commit(self, hook: CommitHook, item: Hashable) -> None:
        """Call ``hook`` with ``item`` just before the open transaction commits.

        It is called once with all items and joins the transaction. Without an open transaction
        it runs immediately in its own.
        """
        transaction = Transaction.of(self.pool)
        if transaction is not None:
            transaction.at_commit(hook, item)
            return
        async with self.transaction():
            await self.at_commit(hook, item)

    def _new_transaction(self) -> AbstractAsyncContextManager[Transaction]:
        outer = Transaction.of(self.pool)
        if outer is None:
            return Transaction(self.pool, self.scope)
        return outer.savepoint(self.scope)

    async def drained(self, timeout: float) -> bool:
        """Refuse new operations and wait for running ones; return False on timeout."""
        self.closing = True
        if not self._running:
            return True
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def refusal(self) -> DigiTwinError:
        """Return the error for a call on a handle that is closed, or of another process."""
        if self.inherited:
            return InvalidStateError(
                "This handle was opened in the process that this one was forked from:"
                " open one after the fork"
            )
        return ClosedError()

    def _disinherit(self) -> None:
        """In a forked child: refuse everything, also inside what the parent had begun."""
        self.closing = self.inherited = True
        attempts.current.set(None)
        self.pool.disinherit()
        active_handle.disinherit()
        transactions.disinherit()

    def _admit(self) -> None:
        if self.closing:
            raise self.refusal()
        if asyncio.get_running_loop() is not self.loop:
            raise InvalidStateError(
                "This handle was opened on another event loop: open one on the current loop"
            )


class ScopedCore(Core):
    """The core of a scope; its operations count as the handle's."""

    def __init__(self, core: Core, scope: Scope, before: Before | None) -> None:
        self.scope = scope
        self.settings, self.pool, self.loop = core.settings, core.pool, core.loop
        self.origin = core.client.origin_under(scope)
        self.aside = core.aside
        self.db = Executor(core.pool, scope, before=before)
        self._handle = core

    def within(self) -> bool:
        return self._handle.within()

    def begin(self) -> Work:
        return self._handle.begin()

    def end(self, work: Work) -> None:
        self._handle.end(work)

    def counted(self) -> _GeneratorContextManager[None, None, None]:
        return self._handle.counted()

    def shared(self, kind: Callable[[Core], T]) -> T:
        return self._handle.shared(kind)

    def scoped(self, scope: Scope, *, before: Before | None = None) -> ScopedCore:
        return self._handle.scoped(scope, before=before)
