"""The background task: again and again, past failures, and gone when told."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar

import pytest

from digitwin.errors import ClosedError, ConnectionFailedError
from digitwin.maintenance import Caretaker

OFTEN = 0.001


class Work:
    """Counts its runs; some of them fail."""

    def __init__(self, *failures: Exception) -> None:
        self.runs = 0
        self._failures = list(failures)
        self._changed = asyncio.Condition()

    async def __call__(self) -> None:
        async with self._changed:
            self.runs += 1
            self._changed.notify_all()
        if self._failures:
            raise self._failures.pop(0)

    async def reached(self, runs: int) -> None:
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(lambda: self.runs >= runs)


async def test_it_runs_again_and_again() -> None:
    work = Work()
    caretaker = Caretaker(work, OFTEN)
    caretaker.start()
    await work.reached(3)
    await caretaker.stop()


async def test_a_failure_is_logged_and_not_the_last_run(caplog: pytest.LogCaptureFixture) -> None:
    work = Work(ConnectionFailedError("the server is away"), ValueError("a defect"))
    caretaker = Caretaker(work, OFTEN)
    with caplog.at_level(logging.ERROR, "digitwin.maintenance"):
        caretaker.start()
        await work.reached(3)
        await caretaker.stop()
    assert "the server is away" in caplog.text
    assert "a defect" in caplog.text


async def test_a_closed_handle_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    work = Work(ClosedError())
    caretaker = Caretaker(work, OFTEN)
    caretaker.start()
    assert caretaker._task is not None
    async with asyncio.timeout(5):
        await caretaker._task
    assert work.runs == 1
    assert not caplog.records


async def test_without_an_interval_nothing_begins() -> None:
    caretaker = Caretaker(Work(), None)
    caretaker.start()
    assert caretaker._task is None
    await caretaker.stop()


async def test_it_stops_in_the_middle_of_a_run() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    caretaker = Caretaker(endless, OFTEN)
    caretaker.start()
    await begun.wait()
    async with asyncio.timeout(5):
        await caretaker.stop()
    assert ended.is_set()


async def test_stopping_twice_is_fine() -> None:
    caretaker = Caretaker(Work(), OFTEN)
    caretaker.start()
    await caretaker.stop()
    await caretaker.stop()


async def test_it_inherits_nothing_from_who_started_it() -> None:
    mine: ContextVar[str] = ContextVar("mine", default="nothing")
    mine.set("a transaction")
    seen: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def look() -> None:
        if not seen.done():
            seen.set_result(mine.get())

    caretaker = Caretaker(look, OFTEN)
    caretaker.start()
    assert await asyncio.wait_for(seen, 5) == "nothing"
    await caretaker.stop()
