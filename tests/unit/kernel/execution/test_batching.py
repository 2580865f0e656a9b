"""Asks that find statements under way go together; whatever happens to one is no other's."""

from __future__ import annotations

import asyncio
import gc
import traceback
import weakref
from collections.abc import AsyncIterator, Sequence
from contextvars import ContextVar
from typing import Any

import pytest

from digitwin.errors import (
    ConnectionFailedError,
    InvalidInputError,
    OutcomeUnknownError,
    PoolTimeoutError,
)
from digitwin.kernel.execution.batching import Batcher

inside: ContextVar[str] = ContextVar("inside", default="nothing")


class Server:
    """Answers statements in the order in which the test says so."""

    def __init__(self) -> None:
        self.sent: list[list[str]] = []
        self.contexts: list[str] = []
        self.ended: list[list[str]] = []
        self._answers: list[asyncio.Future[Any]] = []
        self.refused: set[str] = set()
        """Asks that are not answered with others."""

    async def one(self, ask: str) -> str:
        return f"{await self._statement([ask]) or ask}, alone"

    async def many(self, asks: Sequence[str]) -> list[str | None]:
        await self._statement([*asks])
        return [None if ask in self.refused else f"{ask}, together" for ask in asks]

    async def _statement(self, asks: list[str]) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.sent.append(asks)
        self.contexts.append(inside.get())
        self._answers.append(answer)
        try:
            return await answer
        finally:
            self.ended.append(asks)

    async def answer(self, statement: int, error: Exception | None = None) -> None:
        """Answer a statement, by its place among those sent, and let what follows happen."""
        future = self._answers[statement]
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
        await settled()


async def settled() -> None:
    """Let every task run as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def batcher(server: Server) -> AsyncIterator[Batcher[str, str]]:
    batcher = Batcher(server.one, server.many, at_once=1, most=3)
    yield batcher
    await batcher.stop()


async def asked(batcher: Batcher[str, str], *asks: str) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(batcher.ask(ask)) for ask in asks]
    await settled()
    return tasks


async def test_a_caller_alone_is_sent_at_once_in_its_own_task(
    server: Server, batcher: Batcher[str, str]
) -> None:
    one = batcher.ask("a")
    one.send(None)
    assert server.sent == [["a"]]
    one.close()


async def test_those_that_come_meanwhile_go_together_in_their_order(
    server: Server, batcher: Batcher[str, str]
) -> None:
    tasks = await asked(batcher, "a", "b", "c")
    assert server.sent == [["a"]]
    await server.answer(0)
    assert server.sent == [["a"], ["b", "c"]]
    await server.answer(1)
    assert await asyncio.gather(*tasks) == ["a, alone", "b, together", "c, together"]


async def test_one_that_waited_alone_is_sent_alone_and_counts(
    server: Server, batcher: Batcher[str, str]
) -> None:
    tasks = await asked(batcher, "a", "b")
    await server.answer(0)
    tasks += await asked(batcher, "c", "d")
    assert server.sent == [["a"], ["b"]]
    await server.answer(1)
    assert server.sent == [["a"], ["b"], ["c", "d"]]
    await server.answer(2)
    assert (await asyncio.gather(*tasks))[1] == "b, alone"


async def test_a_statement_holds_no_more_than_the_most(
    server: Server, batcher: Batcher[str, str]
) -> None:
    tasks = await asked(batcher, *"abcdef")
    await server.answer(0)
    await server.answer(1)
    await server.answer(2)
    assert server.sent == [["a"], ["b", "c", "d"], ["e", "f"]]
    assert len(await asyncio.gather(*tasks)) == 6


async def test_what_the_batch_does_not_answer_is_sent_alone(
    server: Server, batcher: Batcher[str, str]
) -> None:
    server.refused = {"c"}
    tasks = await asked(batcher, "a", "b", "c")
    await server.answer(0)
    await server.answer(1)
    assert server.sent[2:] == [["c"]]
    await server.answer(2)
    assert [await task for task in tasks[1:]] == ["b, together", "c, alone"]


async def test_a_caller_that_is_cancelled_while_it_waits_is_not_sent(
    server: Server, batcher: Batcher[str, str]
) -> None:
    tasks = await asked(batcher, "a", "b", "c", "d")
    tasks[2].cancel()
    await server.answer(0)
    assert server.sent[1:] == [["b", "d"]]
    await server.answer(1)
    assert [await tasks[1], await tasks[3]] == ["b, together", "d, together"]


async def test_a_caller_that_is_cancelled_later_takes_nothing_from_the_others(
    server: Server, batcher: Batcher[str, str]
) -> None:
    tasks = await asked(batcher, "a", "b", "c")
    await server.answer(0)
    tasks[1].cancel()
    await settled()
    assert server.ended == [["a"]]
    await server.answer(1)
    assert await tasks[2] == "c, together"
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]


async def test_a_batch_ends_when_all_its_callers_are_cancelled(
    server: Server, batcher: Batcher[str, str]
) -> None:
    tasks = await asked(batcher, "a", "b", "c")
    await server.answer(0)
    tasks[1].cancel()
    tasks[2].cancel()
    await settled()
    assert server.ended == [["a"], ["b", "c"]]
    [task] = await asked(batcher, "d")
    assert server.sent[2:] == [["d"]]
    await server.answer(2)
    assert await task == "d, alone"


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancelled_caller_never_keeps_its_place(
    server: Server, batcher: Batcher[str, str], turns: int
) -> None:
    """Whenever it is cancelled, the next one is sent at once."""
    [first, second] = await asked(batcher, "a", "b")
    server._answers[0].set_result(None)
    for _ in range(turns):
        await asyncio.sleep(0)
    second.cancel()
    await settled()
    sent = len(server.sent)
    [third] = await asked(batcher, "c")
    assert server.sent[sent:] == [["c"]]
    await server.answer(sent)
    assert await third == "c, alone"
    await first


async def test_a_batch_that_the_database_refuses_is_sent_one_by_one(
    server: Server, batcher: Batcher[str, str]
) -> None:
    """What one of them has caused is raised to its caller alone."""
    tasks = await asked(batcher, "a", "b", "c")
    await server.answer(0)
    await server.answer(1, InvalidInputError("b is wrong"))
    assert server.sent[2:] == [["b"], ["c"]]
    await server.answer(2, InvalidInputError("b is wrong"))
    await server.answer(3)
    assert await tasks[2] == "c, alone"
    with pytest.raises(InvalidInputError):
        await tasks[1]


@pytest.mark.parametrize("error", [OutcomeUnknownError(), PoolTimeoutError(), ZeroDivisionError()])
async def test_what_happens_to_the_connection_or_by_a_bug_happens_to_all(
    server: Server, batcher: Batcher[str, str], error: Exception
) -> None:
    """It may have been stored, so that it must not be sent again."""
    tasks = await asked(batcher, "a", "b", "c")
    await server.answer(0)
    await server.answer(1, error)
    results = await asyncio.gather(*tasks[1:], return_exceptions=True)
    assert [(type(each), str(each)) for each in results] == [(type(error), str(error))] * 2
    assert len(server.sent) == 2


async def test_each_caller_gets_an_error_of_its_own(
    server: Server, batcher: Batcher[str, str]
) -> None:
    """One error that all of them raise would gather their frames, with the values therein."""
    tasks = await asked(batcher, "a", "b", "c")
    await server.answer(0)
    error = ConnectionFailedError("it broke", sqlstate="08006")
    error.retryable = False  # type: ignore[misc]
    error.__cause__ = OSError("reset")
    await server.answer(1, error)
    results: list[Any] = await asyncio.gather(*tasks[1:], return_exceptions=True)
    assert len({id(each) for each in (*results, error)}) == 3
    assert len({id(each.details) for each in (*results, error)}) == 3
    for each in results:
        assert (each.message, each.details, each.retryable, each.__cause__) == (
            "it broke",
            {"sqlstate": "08006"},
            False,
            error.__cause__,
        )
        frames = [frame.name for frame in traceback.extract_tb(each.__traceback__)]
        assert frames.count("ask") == 1


async def test_a_batch_leaves_nothing_to_the_collector_of_cycles(
    server: Server, batcher: Batcher[str, str]
) -> None:
    """Not even what was asked, which may be personal."""
    asks = [_Text("b"), _Text("c")]
    tasks = await asked(batcher, "a", *asks)
    gone = [weakref.ref(ask) for ask in asks]
    await server.answer(0)
    await server.answer(1)
    await asyncio.gather(*tasks)
    gc.disable()
    del asks, tasks
    server.sent.clear()
    server.ended.clear()
    left = [ask() for ask in gone if ask() is not None]
    gc.enable()
    assert not left


class _Text(str):
    """Tells when it is gone."""


async def test_a_slow_statement_holds_nobody_back(server: Server) -> None:
    batcher = Batcher(server.one, server.many, at_once=1, most=3, patience=0)
    tasks = await asked(batcher, "a", "b", "c")
    async with asyncio.timeout(5):
        while len(server.sent) < 2:  # noqa: ASYNC110 - a timer that tells nobody
            await asyncio.sleep(0)
    assert server.sent == [["a"], ["b", "c"]]
    await server.answer(0)
    await server.answer(1)
    assert len(await asyncio.gather(*tasks)) == 3


async def test_its_end_is_not_taken_for_that_of_another(server: Server) -> None:
    """Those that came later still wait for each other."""
    batcher = Batcher(server.one, server.many, at_once=1, most=3, patience=0)
    tasks = await asked(batcher, "a", "b", "c")
    async with asyncio.timeout(5):
        while len(server.sent) < 2:  # noqa: ASYNC110 - a timer that tells nobody
            await asyncio.sleep(0)
    batcher._patience = 60
    await server.answer(0)
    tasks += await asked(batcher, "d")
    assert server.sent == [["a"], ["b", "c"]]
    await server.answer(1)
    assert server.sent[2:] == [["d"]]
    await server.answer(2)
    assert len(await asyncio.gather(*tasks)) == 4


async def test_a_batch_sees_no_callers_context(server: Server, batcher: Batcher[str, str]) -> None:
    """It must not run in the transaction or scope of one of them."""
    inside.set("a transaction")
    await asked(batcher, "a", "b", "c")
    await server.answer(0)
    assert server.contexts == ["a transaction", "nothing"]


async def test_stopping_ends_what_is_under_way_and_nobody_waits_for_ever(
    server: Server, batcher: Batcher[str, str]
) -> None:
    tasks = await asked(batcher, "a", "b", "c")
    await server.answer(0)
    await batcher.stop()
    assert server.ended[-1] == ["b", "c"]
    results = await asyncio.gather(*tasks[1:], return_exceptions=True)
    assert [type(result) for result in results] == [OutcomeUnknownError] * 2


async def test_stopping_a_batch_that_has_not_begun_leaves_nobody_waiting(
    server: Server, batcher: Batcher[str, str]
) -> None:
    tasks = await asked(batcher, "a", "b", "c")
    server._answers[0].set_result(None)
    while not batcher._batches:  # noqa: ASYNC110 - to stop it as soon as it is made
        await asyncio.sleep(0)
    assert len(server.sent) == 1
    await batcher.stop()
    async with asyncio.timeout(5):
        results = await asyncio.gather(*tasks[1:], return_exceptions=True)
    assert [type(result) for result in results] == [OutcomeUnknownError] * 2
