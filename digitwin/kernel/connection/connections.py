"""One connection of a handle, and when it is replaced."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

import asyncpg

from digitwin.kernel.connection import driver_errors, forking, wire
from digitwin.kernel.connection.deadline import DeadlineTimer
from digitwin.kernel.connection.held_statements import Held, HeldStatements
from digitwin.kernel.connection.scopes import PERSON, Scope
from digitwin.kernel.connection.scrubbing import scrub

NOW = -math.inf
"""As the end of a connection's lifetime: it is replaced when it is released."""


_LIMITS: Final = {"fetchrow": 1, "fetchval": 1}
"""Rows after which a statement stops; all if it is not named."""
WHO: Final = f"SELECT current_user::text, current_setting('{PERSON}', true)"
"""The role and the person of the statement itself."""
_END_PREPARING: Final = "SELECT 1"
"""Ends what asyncpg began by preparing a statement, without a Sync of its own, if no statement
follows: an open transaction, with its locks and the time limit of a statement, which would hit the
connection's next caller."""


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """A connection without session state to reset on release."""

    ends = math.inf
    """When its lifetime ends, by the event loop's clock."""
    place: Any = None
    """Asyncpg's proxy for it, by which it is released to asyncpg's pool."""
    deadline: DeadlineTimer
    renew: Callable[[], None]
    """Have every connection of its pool replaced."""
    forget: Callable[[], None]
    """Have every connection of its pool prepare its statements again."""

    def __init__(self, protocol: Any, transport: Any, loop: Any, *rest: Any) -> None:
        real = loop.real if isinstance(loop, wire.Loop) else loop
        super().__init__(protocol, transport, real, *rest)
        self._name = secrets.token_hex(6)
        self._wire: Any = transport if isinstance(loop, wire.Loop) else None
        self._held = HeldStatements(self)
        self._entries: dict[str, Any] = {}
        self.entered: set[str] = set()
        self.forget_statements = self._held.clear
        forking.watch(self)

    def _get_unique_id(self, prefix: str) -> str:
        """Return a name that no other connection uses, in any process.

        Asyncpg's own are the same in each process. Behind a pooler that mixes up connections one
        client would execute another's statement; so it is told that the statement is missing.
        """
        name: str = super()._get_unique_id(prefix)
        return f"{name}{self._name}"

    def name_statements(self, named: bool) -> None:
        """Prepare statements under names and keep them, or send them once, without names."""
        self._stmt_cache_enabled = named

    def get_reset_query(self) -> str:
        return ""

    async def ask(
        self, method: str, sql: str, args: Sequence[Any] = (), scope: Scope | None = None
    ) -> Any:
        """Send one statement and return its result; ``execute`` without values sends several.

        Args:
            method: ``fetch``, ``fetchrow``, ``fetchval`` or ``execute``, as asyncpg's.
            sql: the statement.
            args: the values of its parameters.
            scope: set for this statement alone; only if :meth:`enters` it, and outside of
                transactions.

        Raises:
            TimeoutError: it was not answered in time; the connection is terminated.
        """
        self.deadline.begin(self)
        try:
            try:
                answer = await self._send(method, sql, args, scope)
            except asyncpg.InvalidCachedStatementError:  # refused before it was executed
                self.forget()
                if self.is_in_transaction():
                    raise
                answer = await self._send(method, sql, args, scope)
            except driver_errors.DRIVER as fault:
                if driver_errors.is_unsent(fault):
                    scrub(fault)  # before it is the context of another
                    await self.execute(_END_PREPARING)
                raise
        except BaseException as fault:
            self._ended(fault)
            raise
        self.deadline.end(self)
        return answer

    async def enters(self, scope: Scope) -> bool:
        """Ask the server whether statements sent in this scope in one write run in it.

        A pooler in between may separate the messages. ``entered`` keeps the roles of those that do.
        """
        if self._wire is None:
            return False
        if scope.role not in self._entries:
            await self._prepare_entry(scope)
        if tuple(await self.ask("fetchrow", WHO, (), scope)) != (scope.role, scope.person):
            return False
        self.entered.add(scope.role)
        return True

    async def _prepare_entry(self, scope: Scope) -> None:
        self.deadline.begin(self)
        try:
            entry = await self.prepare(scope.entry_sql, name=scope.entry_name)
        except asyncpg.DuplicatePreparedStatementError:
            entry = None  # left by a cancelled call, or behind a pooler by a connection of ours
        except BaseException as fault:
            self._ended(fault)
            raise
        self.deadline.end(self)
        self._entries[scope.role] = entry  # held: asyncpg closes what nobody holds

    async def _send(self, method: str, sql: str, args: Sequence[Any], scope: Scope | None) -> Any:
        if method == "execute" and not args and scope is None:
            return await self.execute(sql)
        held = self._held.find(sql) or await self._held.prepare(sql)
        if self._query_loggers:
            with self._time_and_log(sql, args, None):
                rows, tag = await self._execute_held(held, args, method, scope)
        else:
            rows, tag = await self._execute_held(held, args, method, scope)
        if method == "fetch":
            return rows
        if method == "execute":
            return tag.decode()
        if not rows:
            return None
        return rows[0] if method == "fetchrow" else rows[0][0]

    async def _execute_held(
        self, held: Held, args: Sequence[Any], method: str, scope: Scope | None
    ) -> tuple[Any, bytes]:
        """Return the rows and the tag, from asyncpg's protocol."""
        limit = _LIMITS.get(method, 0)
        if scope is not None:
            self._wire.arm(scope.entry, held.head)
        try:
            # no time limit of asyncpg's: the deadline has it
            rows, tag, _ = await self._protocol.bind_execute(
                held.state, args, "", limit, True, None
            )
        finally:
            if scope is not None:
                self._wire.disarm()  # not sent if a value could not be encoded
        return rows, tag

    def _ended(self, fault: BaseException) -> None:
        """End the deadline of a statement that failed, and judge the connection by it."""
        if not self.deadline.end(self) and isinstance(fault, driver_errors.DRIVER):
            raise TimeoutError from fault
        self.judge(fault)

    def judge(self, fault: BaseException) -> None:
        """Have it replaced on release if ``fault`` says that it, or its server, is not usable.

        It is not closed at once: a transaction around the fault may go on after a savepoint.
        """
        if isinstance(fault, driver_errors.OUT_OF_STEP):
            cut(self)
        elif driver_errors.distrusts(fault):
            self.ends = NOW
            if driver_errors.is_read_only(fault):
                self.renew()


def cut(connection: Any) -> None:
    """Terminate an acquired connection; the pool opens a new one in its place."""
    if not connection.is_closed():
        connection.terminate()
