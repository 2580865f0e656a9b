"""Asks that would queue anyway are sent together, in one statement."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from copy import copy
from typing import Any, Final, Generic, TypeVar

from digitwin.errors import ConnectionFailedError, DigiTwinError, OutcomeUnknownError

PATIENCE: Final = 0.02
"""Seconds that an ask waits at most for those before it. A statement that takes longer, such as
one that waits for a row's lock, no longer holds others back."""

A = TypeVar("A")
R = TypeVar("R")


class Batcher(Generic[A, R]):
    """Sends an ask alone while few statements are under way, and gathers the others.

    An ask that finds fewer than ``at_once`` statements under way is sent at once, in its caller's
    task: a caller alone pays nothing. Others wait. When a statement ends, those that wait go in
    one statement, which belongs to no caller: it goes on when one of them is cancelled, and ends
    when all of them are. An ask whose caller was cancelled while it waited is not sent.

    A batch that fails in the database has changed nothing, so each of its asks is sent alone and
    gets its own outcome. If the connection failed, each caller gets a copy of that error.

    Args:
        one: sends one ask.
        many: sends several in one statement, in the order in which they came. It returns a result
            for each; None for an ask that is to be sent alone.
        at_once: statements under way, beyond which asks wait.
        most: asks in one statement.
        patience: see :data:`PATIENCE`.
    """

    def __init__(
        self,
        one: Callable[[A], Awaitable[R]],
        many: Callable[[Sequence[A]], Awaitable[Sequence[R | None]]],
        *,
        at_once: int,
        most: int,
        patience: float = PATIENCE,
    ) -> None:
        self._one = one
        self._many = many
        self._at_once = at_once
        self._most = most
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._under_way = 0
        self._round = 0
        """Increases when statements under way no longer count, since they take too long."""
        self._waiting: deque[_Waiting[A, R]] = deque()
        self._batches: set[_Batch] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def ask(self, ask: A) -> R:
        """Return the result; raises what ``one`` or ``many`` raise."""
        turn: int | None
        if self._under_way < self._at_once:
            turn = self._begin()
        else:
            waiting = self._wait(ask)
            try:
                result = await waiting.future
            except asyncio.CancelledError:
                self._leave(waiting)
                raise
            if result is not None:
                return result
            turn = waiting.turn
        try:
            return await self._one(ask)
        finally:
            if turn is not None:
                self._end(turn)

    async def stop(self) -> None:
        """Cancel what is under way in the background and wait until it has ended."""
        if self._timer is not None:
            self._timer.cancel()
        tasks = [batch.task for batch in self._batches]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _begin(self) -> int:
        self._under_way += 1
        return self._round

    def _end(self, turn: int) -> None:
        if turn == self._round:
            self._under_way -= 1
            if self._waiting:
                self._send()

    def _wait(self, ask: A) -> _Waiting[A, R]:
        now = self._loop.time()
        waiting = _Waiting(ask, self._loop.create_future(), now)
        self._waiting.append(waiting)
        if self._timer is None:
            self._timer = self._loop.call_at(now + self._patience, self._look)
        return waiting

    def _leave(self, waiting: _Waiting[A, R]) -> None:
        """Note that a caller was cancelled."""
        if waiting.turn is not None:
            self._end(waiting.turn)
        elif waiting.batch is not None and waiting.batch.abandoned:
            waiting.batch.task.cancel()

    def _send(self) -> None:
        """Send those that wait, as far as statements may be under way."""
        while self._waiting and self._under_way < self._at_once:
            asks = self._next()
            if len(asks) == 1:
                asks[0].turn = self._begin()
                asks[0].future.set_result(None)
            elif asks:
                self._send_together(asks)

    def _next(self) -> list[_Waiting[A, R]]:
        asks: list[_Waiting[A, R]] = []
        while self._waiting and len(asks) < self._most:
            waiting = self._waiting.popleft()
            if not waiting.future.done():
                asks.append(waiting)
        return asks

    def _send_together(self, asks: list[_Waiting[A, R]]) -> None:
        task = self._loop.create_task(
            self._run(asks),
            name="digitwin batch",
            context=Context(),  # it belongs to no caller and no transaction
        )
        batch, turn = _Batch(asks, task), self._begin()
        self._batches.add(batch)

        def ended(task: asyncio.Task[None]) -> None:
            # After its callers have woken up: what they ask next goes into the next batch
            self._batches.discard(batch)
            if task.cancelled() or task.exception() is not None:
                batch.answer_unknown()
            self._end(turn)

        task.add_done_callback(ended)

    async def _run(self, asks: list[_Waiting[A, R]]) -> None:
        results: Sequence[R | None] = [None] * len(asks)
        error: Exception | None = None
        try:
            results = await self._many([waiting.ask for waiting in asks])
        except ConnectionFailedError as fault:
            error = fault
        except DigiTwinError:
            pass  # each is sent alone
        except Exception as fault:  # noqa: BLE001 - a bug, which every caller is told of
            error = fault
        for waiting, result in zip(asks, results, strict=True):
            waiting.answer(result, error)

    def _look(self) -> None:
        """Send the oldest if it has waited for too long, and come back for the next one."""
        self._timer = None
        if self._waiting and self._waiting[0].since + self._patience <= self._loop.time():
            self._round += 1
            self._under_way = 0
            self._send()
        if self._waiting:
            self._timer = self._loop.call_at(self._waiting[0].since + self._patience, self._look)


class _Waiting(Generic[A, R]):
    """An ask that waits, and what comes of it."""

    __slots__ = ("ask", "batch", "future", "since", "turn")

    def __init__(self, ask: A, future: asyncio.Future[R | None], since: float) -> None:
        self.ask = ask
        self.future = future
        """Its result; None: its caller sends it alone."""
        self.since = since
        self.turn: int | None = None
        """The statement that its caller is to count while sending it alone."""
        self.batch: _Batch | None = None

    def answer(self, result: R | None, error: Exception | None) -> None:
        self.batch = None  # which refers to it: the collector of cycles would have to find them
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(_own(error))


class _Batch:
    """Asks that were sent together, and the task that waits for their results."""

    def __init__(self, asks: list[_Waiting[Any, Any]], task: asyncio.Task[None]) -> None:
        self._asks = asks
        self.task = task
        for waiting in asks:
            waiting.batch = self

    @property
    def abandoned(self) -> bool:
        """Whether every caller was cancelled."""
        return all(waiting.future.done() for waiting in self._asks)

    def answer_unknown(self) -> None:
        """Answer those that were not answered, since the task was cancelled, perhaps unstarted."""
        for waiting in self._asks:
            waiting.answer(None, OutcomeUnknownError())


def _own(error: Exception) -> Exception:
    """Return a copy for one caller: raised by several, an error gathers the frames of them all."""
    if not isinstance(error, DigiTwinError):
        return error
    own = copy(error).with_traceback(error.__traceback__)
    own.__dict__ |= error.__dict__
    own.details = {**error.details}
    own.__cause__ = error.__cause__
    return own
