"""A call cancelled at any point leaves its connection with the pool and its task in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from digitwin.database import Database
from tests.faults.proxy import Proxy

Whole = Callable[[Database], Awaitable[None]]
Work = Callable[[Database, str], Awaitable[object]]


async def add(db: Database, mark: str) -> object:
    return await db.users.create(email=f"{mark}@example.com", name="Ada")


async def add_in_transaction(db: Database, mark: str) -> None:
    async with db.transaction():
        await add(db, mark)


async def add_in_savepoint(db: Database, mark: str) -> None:
    async with db.transaction(), db.transaction():
        await add(db, mark)


async def fail_in_transaction(db: Database, mark: str) -> None:
    async with db.transaction():
        await add(db, mark)
        raise LookupError


async def fail_in_savepoint(db: Database, mark: str) -> None:
    async with db.transaction():
        await fail_in_transaction(db, mark)


async def stream(db: Database, mark: str) -> None:
    async for _ in db.users.stream(name=mark):
        pass


MARK = "the statement with the mark"
CASES: list[tuple[Work, str]] = [
    (add, MARK),
    (add_in_transaction, "BEGIN"),
    (add_in_transaction, MARK),
    (add_in_transaction, "COMMIT"),
    (add_in_savepoint, "SAVEPOINT"),
    (add_in_savepoint, "RELEASE"),
    (fail_in_transaction, "ROLLBACK"),
    (fail_in_savepoint, "ROLLBACK TO"),
    (stream, "BEGIN"),
    (stream, MARK),
    (stream, "ROLLBACK"),
]


@pytest.mark.parametrize("before", [False, True], ids=["answered", "unsent"])
@pytest.mark.parametrize(("work", "text"), CASES)
async def test_no_connection_is_lost(
    db: Database, proxy: Proxy, whole: Whole, work: Work, text: str, before: bool
) -> None:
    """As often as there are connections, and once more."""
    for _ in range(db.settings.pool_max + 1):
        mark = uuid4().hex
        hold = proxy.hold(mark if text == MARK else text, before=before)
        task = asyncio.ensure_future(work(db, mark))
        async with asyncio.timeout(5):
            await (hold.seen if before else hold.answered).wait()
            task.cancel()
            hold.release()
            with pytest.raises((asyncio.CancelledError, LookupError)):
                await task
    await whole(db)


@pytest.mark.parametrize("text", ["BEGIN", "COMMIT"])
async def test_the_cancelled_task_itself_can_go_on(
    db: Database, proxy: Proxy, whole: Whole, text: str
) -> None:
    hold = proxy.hold(text)

    async def work() -> None:
        with pytest.raises(asyncio.CancelledError):
            await add_in_transaction(db, "ada")
        await whole(db)

    task = asyncio.ensure_future(work())
    async with asyncio.timeout(10):
        await hold.answered.wait()
        task.cancel()
        hold.release()
        await task


async def test_cancelled_in_the_body_nothing_is_stored(db: Database) -> None:
    reached = asyncio.Event()

    async def work() -> None:
        async with db.transaction():
            await add(db, "ada")
            reached.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(work())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await db.users.count() == 0


async def test_cancelled_while_it_waits_for_a_connection(db: Database, whole: Whole) -> None:
    most = db.settings.pool_max - 1
    inside, leave = asyncio.Barrier(most + 1), asyncio.Event()

    async def occupy() -> None:
        async with db.transaction():
            await inside.wait()
            await leave.wait()

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        for _ in range(most):
            group.create_task(occupy())
        await inside.wait()
        waiting = [asyncio.ensure_future(add_in_transaction(db, "ada")) for _ in range(5)]
        while (await db.health()).pool.waiting < len(waiting):
            pass
        for task in waiting:
            task.cancel()
        assert [type(e) for e in await asyncio.gather(*waiting, return_exceptions=True)] == [
            asyncio.CancelledError
        ] * len(waiting)
        leave.set()
    await whole(db)
