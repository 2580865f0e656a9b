"""Processes that want the same value: one makes it, and nobody waits for one that died."""

from __future__ import annotations

import asyncio

from digitwin.database import Database
from tests.integration.cache.processes import worker, workers
from tests.integration.cache.worker import VALUE


async def test_of_400_tasks_in_four_processes_one_calls_its_factory(digitwin_url: str) -> None:
    async with workers(digitwin_url, 4, tasks=100, seconds=0.2) as started:
        for process in started:
            process.go()
        said = b"".join([await process.rest() for process in started])
    assert said.count(b"f") == 1
    assert said.count(b"v") == 400


async def test_when_the_holder_is_killed_another_makes_it(digitwin_url: str) -> None:
    async with (
        worker(digitwin_url, tasks=10, seconds=3600) as holder,
        workers(digitwin_url, 3, tasks=10, seconds=0.1) as others,
    ):
        holder.go()
        await holder.hears(b"f")
        for other in others:
            other.go()
        holder.kill()
        said = b"".join([await other.rest() for other in others])
    assert said.count(b"f") == 1
    assert said.count(b"v") == 30


async def test_when_the_holders_factory_fails_another_makes_it(digitwin_url: str) -> None:
    async with (
        worker(digitwin_url, tasks=10, seconds=0.5, fails=True) as holder,
        workers(digitwin_url, 3, tasks=10) as others,
    ):
        holder.go()
        await holder.hears(b"f")
        for other in others:
            other.go()
        assert await holder.rest() == b"x" * 10
        said = b"".join([await other.rest() for other in others])
    assert said.count(b"f") == 1
    assert said.count(b"v") == 30


async def test_a_holder_that_takes_longer_than_a_statement_may_is_waited_for(
    digitwin_url: str, digitwin_db: Database
) -> None:
    """The holder is no statement, and holds no connection that could be timed out."""

    async def never() -> object:
        raise AssertionError("there was a holder")

    short = dict.fromkeys(("statement_timeout", "lock_timeout", "idle_in_transaction_timeout"), 0.2)
    async with worker(digitwin_url, seconds=1, **short) as holder:
        holder.go()
        await holder.hears(b"f")
        found = await asyncio.wait_for(digitwin_db.cache.responses.get_or_create("key", never), 30)
        assert found == VALUE
        assert await holder.rest() == b"v"
