"""The server goes away and comes back; the same handle and the same tasks go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from digitwin.connecting import connect
from digitwin.database import Database
from digitwin.errors import AlreadyExistsError, ConnectionFailedError
from digitwin.kernel.primitives.ids import uuid7
from tests.faults.server import Debian15, Embedded18, Server, throw_away

Whole = Callable[[Database], Awaitable[None]]
TASKS = 8
ENOUGH = 20
"""Calls that every task must bring to success before the restart, and after it."""


@pytest.fixture(scope="module", params=[Embedded18, Debian15], ids=["18", "15"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    missing = request.param.missing()
    if missing:
        pytest.skip(missing)
    with throw_away(request.param) as server:
        yield server


@pytest.fixture
async def db(server: Server) -> AsyncIterator[Database]:
    bounds = {"connect_timeout": 5, "statement_timeout": 5, "acquire_timeout": 5}
    async with connect(server.url, migrate="auto", pool_max=4, **bounds) as db:
        yield db


class Worker:
    """Creates users until it is told to stop, and tries again after every lost connection."""

    def __init__(self, db: Database, *, in_transaction: bool) -> None:
        self._db = db
        self._in_transaction = in_transaction
        self.ids: list[object] = []
        self.faults = 0
        self.stopped = False
        self.progress = asyncio.Semaphore(0)

    async def run(self) -> None:
        while not self.stopped:
            id = uuid7()
            while not await self._is_stored(id):
                self.faults += 1
            self.ids.append(id)
            self.progress.release()

    async def more(self) -> None:
        """Wait until it has brought some more to success."""
        while not self.progress.locked():
            await self.progress.acquire()
        for _ in range(ENOUGH):
            await self.progress.acquire()

    async def _is_stored(self, id: object) -> bool:
        try:
            if self._in_transaction:
                async with self._db.transaction():
                    await self._create(id)
            else:
                await self._create(id)
        except AlreadyExistsError:  # the answer was lost, not the write
            return True
        except ConnectionFailedError:
            await asyncio.sleep(0.01)
            return False
        return True

    async def _create(self, id: object) -> None:
        await self._db.users.create(id=id, email=f"{id}@example.com", name="Ada")


async def test_the_tasks_under_load_go_on_after_a_restart(
    db: Database, server: Server, whole: Whole
) -> None:
    workers = [Worker(db, in_transaction=n % 2 == 0) for n in range(TASKS)]
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(worker.run())
        await asyncio.gather(*(worker.more() for worker in workers))
        await asyncio.to_thread(server.restart)
        await asyncio.gather(*(worker.more() for worker in workers))
        for worker in workers:
            worker.stopped = True
    assert any(worker.faults for worker in workers)
    stored = {user.id async for user in db.users.stream()}
    assert stored == {id for worker in workers for id in worker.ids}
    await whole(db)


async def test_while_the_server_is_down_every_call_says_so_at_once(
    db: Database, server: Server, whole: Whole
) -> None:
    await asyncio.to_thread(server.stop)
    try:
        async with asyncio.timeout(5):
            for _ in range(2 * db.settings.pool_max):
                with pytest.raises(ConnectionFailedError):
                    await db.users.count()
                with pytest.raises(ConnectionFailedError):
                    async with db.transaction():
                        pass
            health = await db.health()
            assert not health.ok
            assert health.error
            assert not await db.ready()
    finally:
        await asyncio.to_thread(server.start)
    assert await db.ready()
    await whole(db)


async def test_a_handle_closes_while_the_server_is_down(server: Server) -> None:
    db = await connect(server.url, migrate="auto")
    await asyncio.to_thread(server.stop)
    try:
        async with asyncio.timeout(5):
            await db.close()
    finally:
        await asyncio.to_thread(server.start)
