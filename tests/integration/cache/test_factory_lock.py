"""Of all handles that want a value one makes it, under a lock that ends with its holder."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from digitwin.cache import locks
from digitwin.cache.locks import AdvisoryLocks
from digitwin.cache.repository import CacheRepository
from digitwin.database import Database
from digitwin.errors import ConnectionFailedError, InvalidStateError
from digitwin.testing import DatabaseFactory
from tests.integration.cache.conftest import Elsewhere, Factory, until

HELD = (
    "SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database"
    " WHERE locktype = 'advisory' AND datname = current_database() AND granted"
)


async def refuse() -> asyncpg.Connection:
    raise ConnectionFailedError("no connection left")


async def wait_for_it(cache: CacheRepository, factory: Factory) -> asyncio.Task[Any]:
    """A task that asks for what another handle makes, and has found that it must wait."""
    refused: list[object] = []
    take = cache._locks.acquire

    async def seen(number: int) -> locks.Permit | None:
        permit = await take(number)
        refused.append(permit)
        return permit

    cache._locks.acquire = seen  # type: ignore[method-assign]
    task = asyncio.create_task(cache.responses.get_or_create("key", factory))
    await until(lambda: refused)
    assert refused[0] is None
    return task


async def make(cache: CacheRepository, factory: Factory) -> asyncio.Task[Any]:
    """A task whose factory is at work."""
    task = asyncio.create_task(cache.responses.get_or_create("key", factory))
    await asyncio.wait_for(factory.begun.wait(), 5)
    return task


async def test_another_handle_waits_for_it(
    cache: CacheRepository, other: CacheRepository, slow: Factory, quick: Factory
) -> None:
    making = await make(cache, slow)
    waiting = await wait_for_it(other, quick)
    slow.go_on.set()
    assert set(await asyncio.wait_for(asyncio.gather(making, waiting), 5)) == {"made"}
    assert quick.calls == 0


async def test_so_does_one_on_another_event_loop(
    cache: CacheRepository, elsewhere: Elsewhere, slow: Factory, quick: Factory
) -> None:
    making = await make(cache, slow)
    waiting = asyncio.create_task(elsewhere.do(lambda c: c.responses.get_or_create("key", quick)))
    slow.go_on.set()
    assert set(await asyncio.wait_for(asyncio.gather(making, waiting), 5)) == {"made"}
    assert quick.calls == 0


@pytest.mark.parametrize("end", ["failed", "cancelled", "connection lost"])
async def test_when_it_fails_the_one_that_waits_makes_it(
    cache: CacheRepository,
    other: CacheRepository,
    slow: Factory,
    quick: Factory,
    raw: asyncpg.Connection,
    end: str,
) -> None:
    slow.value = RuntimeError("no model") if end == "failed" else "late"
    making = await make(cache, slow)
    waiting = await wait_for_it(other, quick)
    if end == "cancelled":
        making.cancel()
    elif end == "failed":
        slow.go_on.set()
    else:
        assert cache._locks._connection is not None
        pid = cache._locks._connection.get_server_pid()
        await raw.execute("SELECT pg_terminate_backend($1)", pid)
    assert await asyncio.wait_for(waiting, 5) == "made"
    assert quick.calls == 1
    slow.go_on.set()
    await asyncio.wait([making])


async def test_whoever_takes_the_lock_looks_once_more(
    cache: CacheRepository, other: CacheRepository, quick: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one lands between the first look and the lock."""
    take = cache._locks.acquire

    async def late(number: int) -> locks.Permit | None:
        await other.responses.set("key", "theirs")
        return await take(number)

    monkeypatch.setattr(cache._locks, "acquire", late)
    assert await cache.responses.get_or_create("key", quick) == "theirs"
    assert quick.calls == 0


async def test_after_an_invalidation_nobody_waits_for_what_was_begun_before(
    cache: CacheRepository, other: CacheRepository, slow: Factory, quick: Factory
) -> None:
    making = await make(cache, slow)
    waiting = await wait_for_it(other, quick)
    await other.responses.invalidate()
    assert await asyncio.wait_for(waiting, 5) == "made"
    slow.go_on.set()
    await making


async def test_every_lock_is_given_back(
    cache: CacheRepository, quick: Factory, raw: asyncpg.Connection
) -> None:
    asking = (cache.responses.get_or_create(f"key {n}", quick) for n in range(50))
    await asyncio.gather(*asking)
    async with asyncio.timeout(5):
        while await raw.fetchval(HELD):
            pass


async def test_another_schema_is_another_matter(
    cache: CacheRepository, other: CacheRepository, slow: Factory, quick: Factory
) -> None:
    other.responses._table._schema = "tenant"
    making = await make(cache, slow)
    assert await asyncio.wait_for(other.responses.get_or_create("key", quick), 5) == "made"
    slow.go_on.set()
    await making


async def test_a_factory_may_ask_for_another_entry(cache: CacheRepository, quick: Factory) -> None:
    async def factory() -> object:
        return [await cache.responses.get_or_create("part", quick)]

    assert await cache.responses.get_or_create("key", factory) == ["made"]


async def test_a_factory_that_asks_another_handle_for_its_entry_is_told_so(
    cache: CacheRepository, other: CacheRepository, quick: Factory
) -> None:
    async def circular() -> object:
        return await other.responses.get_or_create("key", quick)

    async with asyncio.timeout(5):
        with pytest.raises(InvalidStateError):
            await cache.responses.get_or_create("key", circular)


async def test_without_a_connection_each_handle_makes_its_own_and_says_so(
    cache: CacheRepository,
    other: CacheRepository,
    slow: Factory,
    quick: Factory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(other._locks, "_connect", refuse)
    making = await make(cache, slow)
    assert await asyncio.wait_for(other.responses.get_or_create("key", quick), 5) == "made"
    assert "each process runs its own" in caplog.text
    slow.go_on.set()
    await making


class TestLocks:
    """What they are by themselves."""

    @pytest.fixture
    async def mine(self, cache: CacheRepository) -> AsyncIterator[AdvisoryLocks]:
        made = AdvisoryLocks(cache._locks._connect)
        yield made
        await made.close()

    @pytest.fixture
    async def theirs(self, cache: CacheRepository) -> AsyncIterator[AdvisoryLocks]:
        made = AdvisoryLocks(cache._locks._connect)
        yield made
        await made.close()

    async def test_one_of_two_has_it(self, mine: AdvisoryLocks, theirs: AdvisoryLocks) -> None:
        permit = await mine.acquire(7)
        assert permit is not None
        assert await theirs.acquire(7) is None
        assert await mine.acquire(7) is None  # though its session would be given it again
        mine.release(permit)
        async with asyncio.timeout(5):
            while await theirs.acquire(7) is None:
                pass

    async def test_many_asked_for_at_once_go_in_few_statements(self, mine: AdvisoryLocks) -> None:
        permits = await asyncio.gather(*(mine.acquire(number) for number in range(100)))
        assert all(permits)
        assert len(mine._held) == 100

    async def test_of_many_that_ask_for_one_at_once_one_has_it(self, mine: AdvisoryLocks) -> None:
        permits = await asyncio.gather(*(mine.acquire(7) for _ in range(20)))
        assert sum(permit is not None for permit in permits) == 1

    async def test_one_who_is_cancelled_keeps_nothing(
        self, mine: AdvisoryLocks, theirs: AdvisoryLocks
    ) -> None:
        await mine.acquire(0)
        for turns in range(20):
            asking = asyncio.create_task(mine.acquire(7))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait([asking])
            if not asking.cancelled() and (permit := asking.result()) is not None:
                mine.release(permit)
        async with asyncio.timeout(5):
            while await theirs.acquire(7) is None:
                pass

    async def test_nor_one_who_is_cancelled_just_as_it_is_granted(
        self, mine: AdvisoryLocks, theirs: AdvisoryLocks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tell = mine._resolve

        def cancel_then(number: int, permit: locks.Permit | None) -> None:
            tell(number, permit)
            asking.cancel()

        monkeypatch.setattr(mine, "_resolve", cancel_then)
        asking = asyncio.create_task(mine.acquire(7))
        await asyncio.wait([asking])
        assert asking.cancelled()
        async with asyncio.timeout(5):
            while await theirs.acquire(7) is None:
                pass

    async def test_a_lost_connection_is_replaced(
        self, mine: AdvisoryLocks, raw: asyncpg.Connection
    ) -> None:
        first = await mine.acquire(7)
        assert first is not None
        assert mine._connection is not None
        pid = mine._connection.get_server_pid()
        await raw.execute("SELECT pg_terminate_backend($1)", pid)
        second = await mine.acquire(8)
        assert second is not None
        assert second.database
        assert list(mine._held) == [8]
        mine.release(first)  # it is the old session's, and nobody's any more
        assert list(mine._held) == [8]

    async def test_behind_a_pooler_everybody_is_let_through(
        self,
        mine: AdvisoryLocks,
        theirs: AdvisoryLocks,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        assert await theirs.acquire(7)
        monkeypatch.setattr(asyncpg.Connection, "get_server_pid", lambda self: 0)  # made up
        for _ in range(2):
            assert await mine.acquire(7)
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert mine._connection is None

    async def test_when_closed_everybody_is_let_through(self, mine: AdvisoryLocks) -> None:
        permit = await mine.acquire(7)
        await mine.close()
        assert permit is not None
        mine.release(permit)
        assert await mine.acquire(7)
        assert mine._connection is None


async def test_closing_leaves_no_connection(
    digitwin_db_factory: DatabaseFactory, digitwin_url: str, raw: asyncpg.Connection, quick: Factory
) -> None:
    db: Database = await digitwin_db_factory(digitwin_url, application_name="closing")
    await db.cache.responses.get_or_create("key", quick)
    await db.close()
    async with asyncio.timeout(5):
        while await raw.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'closing'"
        ):
            pass
