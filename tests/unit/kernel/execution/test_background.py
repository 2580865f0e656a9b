"""The background task: runs repeatedly, survives failures, and ends when it is stopped."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar
from typing import Any

import pytest

from digitwin.errors import ClosedError, ConnectionFailedError
from digitwin.kernel.execution.background import NEVER, BackgroundTask
from digitwin.kernel.execution.maintenance import in_background

OFTEN = 0.001
RARELY = 3600.0

logger = logging.getLogger("digitwin.test")


class Work:
    """Counts its runs; some of them fail, and all may be held up at ``gate``."""

    def __init__(self, *failures: Exception, pause: float | None = None) -> None:
        self.runs = 0
        self.finished = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._failures = list(failures)
        self._pause = pause
        self._changed = asyncio.Condition()

    async def __call__(self) -> float | None:
        async with self._changed:
            self.runs += 1
            self._changed.notify_all()
        await self.gate.wait()
        if self._failures:
            raise self._failures.pop(0)
        self.finished += 1
        return self._pause

    async def reached(self, runs: int) -> None:
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(lambda: self.runs >= runs)


def task(work: Work, **options: Any) -> BackgroundTask:
    return BackgroundTask(work, name="work", logger=logger, **options)


async def ended(background: BackgroundTask) -> None:
    async with asyncio.timeout(5):
        while background.active:  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0)


async def test_it_runs_again_and_again() -> None:
    background = task(work := Work(), interval=OFTEN)
    background.start()
    background.start()
    await work.reached(3)
    await background.stop()
    assert not background.active


async def test_a_failure_is_logged_once_and_not_the_last_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    work = Work(ConnectionFailedError("the server is away"), ValueError("a defect"))
    background = task(work, interval=OFTEN)
    with caplog.at_level(logging.ERROR, logger.name):
        background.start()
        await work.reached(3)
        await background.stop()
    assert [record.exc_info is None for record in caplog.records] == [True, False]
    assert caplog.text.count("the server is away") == 1
    assert "ValueError: a defect" in caplog.text


async def test_a_closed_handle_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    background = task(work := Work(ClosedError()), interval=OFTEN)
    background.start()
    await ended(background)
    assert work.runs == 1
    assert not caplog.records


async def test_without_an_interval_start_schedules_nothing() -> None:
    background = task(Work())
    background.start()
    assert not background.active
    await background.stop()


async def test_waking_runs_it_at_once() -> None:
    background = task(work := Work(), interval=RARELY)
    background.start()
    background.wake()
    await work.reached(1)
    background.wake()
    await work.reached(2)
    await background.stop()


async def test_woken_during_a_run_it_runs_once_more() -> None:
    background = task(work := Work())
    work.gate.clear()
    background.wake()
    await work.reached(1)
    background.wake()
    background.wake()
    work.gate.set()
    await ended(background)
    assert work.runs == 2


async def test_a_run_may_choose_the_next_pause() -> None:
    background = task(work := Work(pause=OFTEN), interval=RARELY, first=0.0)
    background.start()
    await work.reached(3)
    await background.stop()


async def test_no_task_is_left_when_the_next_run_waits_to_be_woken() -> None:
    background = task(work := Work(pause=NEVER), interval=OFTEN)
    background.start()
    await ended(background)
    background.start()
    await work.reached(2)
    await background.stop()


async def test_it_stops_in_the_middle_of_a_run() -> None:
    background = task(work := Work(), interval=OFTEN)
    work.gate.clear()
    background.start()
    await work.reached(1)
    async with asyncio.timeout(5):
        await background.stop()
    assert (background.active, work.finished) == (False, 0)


async def test_or_lets_the_run_finish() -> None:
    background = task(work := Work(), interval=OFTEN)
    work.gate.clear()
    background.start()
    await work.reached(1)
    stopping = asyncio.create_task(background.stop(finish=True))
    await asyncio.sleep(0)
    assert not stopping.done()
    work.gate.set()
    await asyncio.wait_for(stopping, 5)
    assert (background.active, work.runs, work.finished) == (False, 1, 1)


async def test_stopping_ends_the_pause_too() -> None:
    background = task(work := Work(), interval=RARELY)
    background.start()
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await background.stop(finish=True)
    assert work.runs == 0


async def test_stopped_it_stays_so_and_stopping_twice_is_fine() -> None:
    background = task(work := Work(), interval=OFTEN)
    background.start()
    await background.stop()
    await background.stop()
    background.start()
    background.wake()
    assert not background.active
    assert work.runs == 0


async def test_it_inherits_nothing_from_who_started_it() -> None:
    mine: ContextVar[str] = ContextVar("mine", default="nothing")
    seen: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def look() -> None:
        seen.set_result(mine.get())

    mine.set("a transaction")
    background = BackgroundTask(look, name="work", logger=logger)
    background.wake()
    assert await asyncio.wait_for(seen, 5) == "nothing"
    await background.stop()


@pytest.mark.parametrize(("report", "level"), [("two rows", "INFO"), (0, "DEBUG")])
async def test_maintenance_logs_what_a_run_did(
    caplog: pytest.LogCaptureFixture, report: object, level: str
) -> None:
    done = asyncio.Event()

    async def run() -> object:
        done.set()
        return report

    maintenance = in_background(run, OFTEN, name="maintenance")
    with caplog.at_level(logging.DEBUG, "digitwin.maintenance"):
        maintenance.start()
        await asyncio.wait_for(done.wait(), 5)
        await maintenance.stop()
    assert f"maintenance done: {report}" in caplog.text
    assert caplog.records[0].levelname == level


async def test_maintenance_without_an_interval_never_runs() -> None:
    maintenance = in_background(Work(), None, name="maintenance")
    maintenance.start()
    assert not maintenance.active
