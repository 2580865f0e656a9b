"""Closing: nothing new is taken on, nothing accepted is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

import digitwin
from digitwin.database import Database
from digitwin.errors import ClosedError, DigiTwinError
from digitwin.models import User
from digitwin.testing import DatabaseFactory
from tests.faults.proxy import Proxy

OPEN = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

Use = Callable[[Database], Awaitable[object]]


async def transaction(db: Database) -> None:
    async with db.transaction():
        pass


async def stream(db: Database) -> None:
    async for _ in db.users.stream():
        pass


USES: dict[str, Use] = {
    "repository": lambda db: db.users.count(),
    "scope": lambda db: db.for_user("00000000-0000-7000-8000-000000000000").documents.count(),
    "transaction": transaction,
    "stream": stream,
    "limiter": lambda db: db.limits.consume("ada", "/chat", limit=1, window=1),
    "maintenance": lambda db: db.maintain(),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
async def test_a_closed_handle_refuses(digitwin_db: Database, use: Use) -> None:
    await digitwin_db.close()
    with pytest.raises(ClosedError):
        await use(digitwin_db)


async def test_a_closed_handle_cannot_be_entered(digitwin_url: str) -> None:
    db = await digitwin.connect(digitwin_url, migrate="skip")
    async with db:
        pass
    with pytest.raises(ClosedError):
        async with db:
            pytest.fail("the block of a closed handle ran")


async def test_a_closed_handle_still_answers_probes(digitwin_db: Database) -> None:
    await digitwin_db.close()
    assert not await digitwin_db.ready()
    health = await digitwin_db.health()
    assert not health.ok
    assert (health.pool.size, health.pool.in_use) == (0, 0)


async def test_models_of_a_closed_handle_are_refused(digitwin_db: Database) -> None:
    await digitwin_db.close()
    with pytest.raises(DigiTwinError, match="No digitwin handle is open"):
        await User.all().count()


async def test_closing_twice_and_at_once(digitwin_db: Database) -> None:
    await asyncio.gather(*(digitwin_db.close() for _ in range(5)))
    await digitwin_db.close()


async def test_no_connection_stays_open(digitwin_db: Database, digitwin_url: str) -> None:
    await asyncio.gather(*(digitwin_db.users.count() for _ in range(20)))
    await digitwin_db.close()
    admin = await asyncpg.connect(digitwin_url)
    async with asyncio.timeout(5):
        while await admin.fetchval(OPEN):
            pass
    await admin.close()


async def test_what_is_under_way_is_waited_for(db: Database, proxy: Proxy) -> None:
    hold = proxy.hold("ada@example.com")
    work = asyncio.ensure_future(db.users.create(email="ada@example.com", name="Ada"))
    await hold.answered.wait()
    closing = asyncio.ensure_future(db.close())
    with pytest.raises(ClosedError):
        while True:
            await db.users.count()
    assert not closing.done()
    hold.release()
    assert (await work).name == "Ada"
    await closing


async def test_a_transaction_under_way_may_finish(
    digitwin_db: Database, admin: asyncpg.Connection
) -> None:
    """What it still calls is part of it, though new work is refused."""
    db = digitwin_db
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        async with db.transaction():
            inside.set()
            await go_on.wait()
            ada = await db.users.create(email="ada@example.com", name="Ada")
            async with db.transaction():
                await db.documents.create(user_id=ada.id, title="Hours", content="From nine.")

    task = asyncio.ensure_future(work())
    await inside.wait()
    closing = asyncio.ensure_future(db.close())
    with pytest.raises(ClosedError):
        while True:
            await db.users.count()
    go_on.set()
    await asyncio.gather(task, closing)
    assert await admin.fetchval("SELECT count(*) FROM knowledge_documents") == 1


async def test_what_does_not_end_is_cut_off(hasty: Database, admin: asyncpg.Connection) -> None:
    """After ``drain_timeout``: closing is bounded, and what was cut is rolled back."""
    inside = asyncio.Event()

    async def work() -> None:
        async with hasty.transaction():
            await hasty.users.create(email="ada@example.com", name="Ada")
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(work())
    await inside.wait()
    async with asyncio.timeout(2 * hasty.settings.drain_timeout + 1):
        await hasty.close()
        while await admin.fetchval(OPEN):
            pass
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await admin.fetchval("SELECT count(*) FROM users") == 0


async def test_whoever_gives_up_waiting_does_not_stop_the_closing(
    db: Database, proxy: Proxy
) -> None:
    hold = proxy.hold("ada@example.com")
    work = asyncio.ensure_future(db.users.create(email="ada@example.com", name="Ada"))
    await hold.answered.wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await db.close()
    hold.release()
    await work
    await db.close()
    assert (await db.health()).pool.size == 0


async def test_the_block_closes_the_handle_also_after_an_error(
    digitwin_db_factory: DatabaseFactory,
) -> None:
    db = await digitwin_db_factory()
    with pytest.raises(LookupError):
        async with db:
            raise LookupError
    with pytest.raises(ClosedError):
        await db.users.count()
