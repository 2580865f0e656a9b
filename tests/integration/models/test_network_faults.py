"""A model on a network that fails ends as a repository does: known, or known to be unknown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from digitwin.database import Database
from digitwin.errors import (
    ConnectionFailedError,
    OutcomeUnknownError,
    PoolTimeoutError,
    QueryTimeoutError,
)
from digitwin.kernel.connection import dsn
from digitwin.models import AuditLog, SessionParticipant, User
from digitwin.testing import DatabaseFactory
from tests.faults.proxy import Proxy
from tests.integration.models.conftest import furnish


@pytest.fixture
async def proxy(digitwin_url: str) -> AsyncIterator[Proxy]:
    """The network between the handle and its database."""
    async with Proxy(dsn.parse(digitwin_url)) as proxy:
        yield proxy


@pytest.fixture
async def db(proxy: Proxy, digitwin_url: str, digitwin_db_factory: DatabaseFactory) -> Database:
    """The only open handle, on a network that can fail, with bounds a test can wait for."""
    unhurried = await digitwin_db_factory(digitwin_url)
    await furnish(unhurried)
    await unhurried.close()
    return await digitwin_db_factory(
        proxy.url,
        pool_min=1,
        pool_max=2,
        connect_timeout=0.5,
        acquire_timeout=0.5,
        statement_timeout=0.5,
        drain_timeout=0.5,
    )


@pytest.fixture
async def ada(db: Database) -> User:
    return await User.get()


async def lose_answer(proxy: Proxy, text: str, call: Callable[[], Awaitable[Any]]) -> None:
    """Make a call whose answer never comes."""
    hold = proxy.hold(text)
    task = asyncio.ensure_future(call())
    async with asyncio.timeout(5):
        await hold.answered.wait()
        hold.lose()
        await task


READS: dict[str, Callable[[User], Awaitable[Any]]] = {
    "all": lambda ada: User.all(),
    "count": lambda ada: User.filter(name="Ada").count(),
    "refresh": lambda ada: ada.refresh_from_db(),
    "values": lambda ada: User.all().values("name"),
    "lock": lambda ada: User.select_for_update().get(id=ada.id),
}
WRITES: dict[str, tuple[str, Callable[[User], Awaitable[Any]]]] = {
    "save": ("UPDATE", lambda ada: ada.save()),
    "update": ("UPDATE", lambda ada: User.all().update(name="New")),
    "delete": ("COMMIT", lambda ada: ada.voice_models.all().delete()),
    "create": ("INSERT", lambda ada: AuditLog.create(action="a", resource="r")),
    "many": ("COMMIT", lambda ada: AuditLog.bulk_create([AuditLog(action="a", resource="r")])),
    "bulk_update": ("COMMIT", lambda ada: User.bulk_update([ada], ["name"])),
    "get_or_create": (
        "COMMIT",
        lambda ada: SessionParticipant.get_or_create(user_id=ada.id, kind="guest", ref="x"),
    ),
}


@pytest.mark.parametrize("read", READS)
async def test_a_lost_read_is_known_to_have_changed_nothing(
    proxy: Proxy, ada: User, read: str
) -> None:
    with pytest.raises(ConnectionFailedError) as error:
        await lose_answer(proxy, "SELECT", lambda: READS[read](ada))
    assert error.value.retryable
    assert (await User.get()).id == ada.id


@pytest.mark.parametrize("write", WRITES)
async def test_of_a_lost_write_nobody_knows(proxy: Proxy, ada: User, write: str) -> None:
    text, call = WRITES[write]
    with pytest.raises(OutcomeUnknownError):
        await lose_answer(proxy, text, lambda: call(ada))
    assert (await User.get()).id == ada.id


async def test_in_a_transaction_nothing_is_stored(proxy: Proxy, db: Database, ada: User) -> None:
    async def work() -> None:
        async with db.transaction():
            await User.all().update(name="New")

    with pytest.raises(ConnectionFailedError) as error:
        await lose_answer(proxy, 'UPDATE "users"', work)
    assert not isinstance(error.value, OutcomeUnknownError)
    assert (await User.get()).name == "Ada"


async def test_connections_that_died_unnoticed_are_replaced(
    proxy: Proxy, db: Database, ada: User
) -> None:
    proxy.cut()
    with pytest.raises(ConnectionFailedError):
        for _ in range(2):
            await User.get()
    assert (await User.get()).id == ada.id


@pytest.mark.parametrize(
    "call", [lambda ada: User.all(), lambda ada: ada.documents, lambda ada: ada.save()]
)
async def test_on_a_frozen_network_it_ends(proxy: Proxy, ada: User, call: Any) -> None:
    proxy.freeze()
    with pytest.raises(ConnectionFailedError):
        async with asyncio.timeout(10):
            await call(ada)
    proxy.thaw()
    assert await User.all().count() == 1


async def test_a_row_that_stays_locked_ends_the_wait(db: Database, ada: User) -> None:
    async def save() -> None:
        ada.name = "New"
        await ada.save()

    with pytest.raises(QueryTimeoutError):
        async with db.transaction():
            await User.select_for_update().get()
            await asyncio.create_task(outside(save()))
    assert (await User.get()).name == "Ada"


async def outside(work: Awaitable[Any]) -> Any:
    """What a task does that is no part of the transaction it was started in."""
    from digitwin.kernel.connection.transactions import outside

    with outside():
        return await work


async def test_without_a_free_connection_the_wait_ends(db: Database, ada: User) -> None:
    pool = db._core.pool
    lent = [await pool.acquire() for _ in range(2)]
    with pytest.raises(PoolTimeoutError):
        await User.get()
    for connection in lent:
        await pool.release(connection, well=True)
    assert (await User.get()).id == ada.id


async def test_cancelled_calls_cost_no_connection(proxy: Proxy, db: Database, ada: User) -> None:
    for n in range(5):
        hold = proxy.hold(f"-- {n}")
        task = asyncio.ensure_future(outside(User.raw(f"SELECT * FROM users -- {n}")))
        async with asyncio.timeout(5):
            await hold.answered.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        hold.lose()
    assert db._core.pool.in_use == 0
    assert (await User.get()).id == ada.id
