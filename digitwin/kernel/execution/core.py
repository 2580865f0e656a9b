"""What every part of a handle stands on: its settings, its connections, its work under way."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Hashable,
    Iterator,
)
from contextlib import (
    AbstractAsyncContextManager,
    _GeneratorContextManager,
    aclosing,
    asynccontextmanager,
    contextmanager,
)
from contextvars import ContextVar, Token
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from digitwin.errors import ClosedError, DigiTwinError, InvalidStateError
from digitwin.kernel.connection.pool import Pool
from digitwin.kernel.connection.scopes import UNSCOPED, Scope
from digitwin.kernel.connection.transactions import LastAct, Transaction
from digitwin.kernel.execution import audit_records
from digitwin.kernel.execution.executor import Before, Executor, refuse
from digitwin.kernel.orm import active_handle
from digitwin.kernel.orm.client import HandleClient
from digitwin.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")
Self = TypeVar("Self", bound="HasCore")

_work: ContextVar[_Work | None] = ContextVar("digitwin_work", default=None)


class _Work:
    """One accepted call; what it calls in turn is part of it, also while the handle closes."""

    __slots__ = ("client_token", "core", "live", "work_token")

    work_token: Token[_Work | None]
    client_token: Token[active_handle.Client | None]

    def __init__(self, core: Core) -> None:
        self.core = core
        self.live = True


class Core:
    """One handle's inside. Repositories hold it; users do not see it."""

    scope: Scope = UNSCOPED

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self.settings = settings
        self.pool = pool
        self.loop = asyncio.get_running_loop()
        self.client = HandleClient(pool)
        self.db = Executor(pool)
        self.aside = Executor(pool, joins=False)
        self.closing = False
        self._under_way = 0
        self._quiet = asyncio.Event()
        active_handle.register(self.client)

    def scoped(self, scope: Scope, *, before: Before | None = None) -> ScopedCore:
        """The same, whose statements run on behalf of ``scope``; ``aside`` stays as it is.

        Args:
            before: awaited before each statement.
        """
        return ScopedCore(self, scope, before)

    def refusing(self) -> ScopedCore:
        """The same, but every statement is refused: the caller must name a scope."""
        return ScopedCore(self, UNSCOPED, refuse)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Accept a piece of work, activate this handle for it, and count it until it ends.

        Raises:
            ClosedError: the handle is closed or closing.
            InvalidStateError: it was opened on another event loop.
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
        """Whether the caller is part of work that was accepted."""
        work = _work.get()
        return work is not None and work.core is self and work.live

    def begin(self) -> _Work:
        """Accept a piece of work; :meth:`end` must follow. Errors as :meth:`working`."""
        self._admit()
        self._under_way += 1
        work = _Work(self)
        work.work_token = _work.set(work)
        work.client_token = active_handle.activate(self.client)
        return work

    def end(self, work: _Work) -> None:
        """End a piece of work."""
        work.live = False
        active_handle.deactivate(work.client_token)
        _work.reset(work.work_token)
        self._finished()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """As :meth:`working`, for generators: what they set would leak to their consumer."""
        if not self.within():
            self._admit()
        self._under_way += 1
        try:
            yield
        finally:
            self._finished()

    def _finished(self) -> None:
        self._under_way -= 1
        if not self._under_way and self.closing:
            self._quiet.set()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """All or nothing, across repositories; inside another one, a savepoint."""
        with self.working():
            async with self._frame():
                yield

    async def at_commit(self, act: LastAct, item: Hashable) -> None:
        """Have ``act`` do something about ``item`` as the open transaction's last statements.

        It is called once with all items, and joins: what is rolled back never happened.
        Without a transaction it happens now, in one of its own.
        """
        frame = Transaction.of(self.pool)
        if frame is not None:
            frame.at_commit(act, item)
            return
        async with self.transaction():
            await self.at_commit(act, item)

    def _frame(self) -> AbstractAsyncContextManager[Transaction]:
        outer = Transaction.of(self.pool)
        if outer is None:
            return Transaction(self.pool, self.scope)
        return outer.savepoint(self.scope)

    async def drained(self, timeout: float) -> bool:
        """Refuse new work and wait for what is under way; False when ``timeout`` passed first."""
        self.closing = True
        if not self._under_way:
            return True
        try:
            async with asyncio.timeout(timeout):
                await self._quiet.wait()
        except TimeoutError:
            return False
        return True

    def _admit(self) -> None:
        if self.closing:
            raise ClosedError
        if asyncio.get_running_loop() is not self.loop:
            raise InvalidStateError(
                "This handle was opened on another event loop: open one on the loop that uses it"
            )


class ScopedCore(Core):
    """A handle's inside as one scope uses it: what is accepted counts as the handle's."""

    def __init__(self, core: Core, scope: Scope, before: Before | None) -> None:
        self.scope = scope
        self.settings, self.pool, self.loop = core.settings, core.pool, core.loop
        self.client = core.client if scope is UNSCOPED else core.client.under(scope)
        self.aside = core.aside
        self.db = Executor(core.pool, scope, before=before)
        self._handle = core

    def within(self) -> bool:
        return self._handle.within()

    def begin(self) -> _Work:
        return self._handle.begin()

    def end(self, work: _Work) -> None:
        self._handle.end(work)

    def counted(self) -> _GeneratorContextManager[None, None, None]:
        return self._handle.counted()

    def scoped(self, scope: Scope, *, before: Before | None = None) -> ScopedCore:
        return self._handle.scoped(scope, before=before)


class HasCore(Protocol):
    _core: Core


def operation(
    method: Callable[Concatenate[Self, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Self, P], Coroutine[Any, Any, T]]:
    """A public method: refused on a closed handle, waited for by ``close()``."""

    @wraps(method)
    async def run(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> T:
        core = self._core
        if core.within():
            try:
                return await method(self, *args, **kwargs)
            except DigiTwinError as error:
                await audit_records.refused(core, self, method.__name__, error)
                raise
        work = core.begin()
        try:
            return await method(self, *args, **kwargs)
        except DigiTwinError as error:
            await audit_records.refused(core, self, method.__name__, error)
            raise
        finally:
            core.end(work)

    return run


def streaming(
    method: Callable[Concatenate[Self, P], AsyncGenerator[T, None]],
) -> Callable[Concatenate[Self, P], AsyncGenerator[T, None]]:
    """A public asynchronous generator, with the promises of :func:`operation`."""

    @wraps(method)
    async def run(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
        with self._core.counted():
            try:
                async with aclosing(method(self, *args, **kwargs)) as items:
                    async for item in items:
                        yield item
            except DigiTwinError as error:
                await audit_records.refused(self._core, self, method.__name__, error)
                raise

    return run
