"""Calls that wait for one session, so that those behind the first share a statement."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from digitwin.database import Database
from digitwin.models import ConversationSession
from tests.support.waiting import UntilWaiting

Outcomes = list[Any]


class Queue:
    """Calls on one session, begun in order while its row is locked."""

    def __init__(self, until_waiting: UntilWaiting, release: Callable[[], Awaitable[None]]) -> None:
        self._until_waiting = until_waiting
        self.release = release
        self.tasks: list[asyncio.Task[Any]] = []

    async def begin(self, calls: Iterable[Coroutine[Any, Any, Any]]) -> list[asyncio.Task[Any]]:
        """Return their tasks: one waits for the row, the others for that one."""
        begun = [asyncio.ensure_future(call) for call in calls]
        self.tasks += begun
        await self._until_waiting()
        return begun

    async def outcomes(self) -> Outcomes:
        """Let them go on, and return what each got."""
        await self.release()
        return await asyncio.gather(*self.tasks, return_exceptions=True)


@asynccontextmanager
async def locked(
    raw: asyncpg.Connection, session: ConversationSession
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    transaction = raw.transaction()
    await transaction.start()
    await raw.execute(
        "SELECT FROM conversation_sessions WHERE id = $1 FOR NO KEY UPDATE", session.id
    )
    yield transaction.commit
    if raw.is_in_transaction():
        await transaction.rollback()


class Between:
    """A transaction of another handle that takes the session after the call that waits for it."""

    def __init__(self, other: Database, queue: Queue, until_waiting: UntilWaiting) -> None:
        self._other, self._queue, self._until_waiting = other, queue, until_waiting
        self._done, self._go_on = asyncio.Event(), asyncio.Event()

    async def run(self, work: Callable[[Database], Awaitable[Any]]) -> tuple[Any, Outcomes]:
        """Do the work while the queue's batch waits; return what came of both."""
        task = asyncio.ensure_future(self._transaction(work))
        await self._until_waiting(2)
        await self._queue.release()
        await self._done.wait()
        await self._until_waiting()
        self._go_on.set()
        return await task, await asyncio.gather(*self._queue.tasks, return_exceptions=True)

    async def _transaction(self, work: Callable[[Database], Awaitable[Any]]) -> Any:
        async with self._other.transaction():
            result = await work(self._other)
            self._done.set()
            await self._go_on.wait()
        return result


def texts(turns: Iterable[Any]) -> list[Any]:
    return [turn.user_text for turn in turns]


async def end_long_ago(db: Database, session: ConversationSession) -> None:
    """End a session so that its grace is over."""
    await db.sessions.end(session.id)
    await db._core.db.execute(
        "UPDATE conversation_sessions SET ended_at = ended_at - interval '1 day' WHERE id = $1",
        session.id,
    )
