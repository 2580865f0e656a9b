"""A value is made once, by whoever asked first, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from digitwin.cache import invalidation
from digitwin.cache.repository import CacheRepository
from digitwin.database import Database
from digitwin.errors import InvalidInputError, InvalidStateError
from digitwin.kernel.connection import dsn
from digitwin.testing import DatabaseFactory
from tests.faults.proxy import Proxy
from tests.integration.cache.conftest import Factory

Expire = Callable[..., Awaitable[None]]


async def test_a_value_is_made_once_and_then_found(cache: CacheRepository, quick: Factory) -> None:
    assert [await cache.responses.get_or_create("key", quick) for _ in range(3)] == ["made"] * 3
    assert quick.calls == 1


async def test_another_process_finds_it(
    cache: CacheRepository, other: CacheRepository, quick: Factory
) -> None:
    await cache.responses.get_or_create("key", quick)
    assert await other.responses.get_or_create("key", quick) == "made"
    assert quick.calls == 1


async def test_many_at_once_make_it_once(cache: CacheRepository, slow: Factory) -> None:
    asking = [asyncio.create_task(cache.responses.get_or_create("key", slow)) for _ in range(50)]
    await slow.begun.wait()
    slow.go_on.set()
    assert await asyncio.gather(*asking) == ["made"] * 50
    assert slow.calls == 1


async def test_different_keys_do_not_wait_for_each_other(
    cache: CacheRepository, slow: Factory, quick: Factory
) -> None:
    held = asyncio.create_task(cache.responses.get_or_create("slow", slow))
    await slow.begun.wait()
    assert await cache.responses.get_or_create("quick", quick) == "made"
    slow.go_on.set()
    await held


async def test_a_factory_that_fails_stores_nothing_and_the_next_begins_anew(
    cache: CacheRepository, quick: Factory
) -> None:
    failing = Factory(RuntimeError("no model"))
    failing.go_on.set()
    with pytest.raises(RuntimeError, match="no model"):
        await cache.responses.get_or_create("key", failing)
    assert await cache.responses.get("key") is None
    assert await cache.responses.get_or_create("key", quick) == "made"


async def test_when_the_first_is_cancelled_the_next_makes_it(
    cache: CacheRepository, slow: Factory, quick: Factory
) -> None:
    first = asyncio.create_task(cache.responses.get_or_create("key", slow))
    await slow.begun.wait()
    second = asyncio.create_task(cache.responses.get_or_create("key", quick))
    while (await cache.statistics())["responses"].misses < 2:
        pass
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await asyncio.wait_for(second, 5) == "made"
    assert quick.calls == 1


async def test_no_connection_is_held_while_a_factory_runs(
    digitwin_db: Database, cache: CacheRepository, slow: Factory
) -> None:
    making = asyncio.create_task(cache.embeddings.get_or_create("key", slow))
    slow.value = [1.0]
    await slow.begun.wait()
    assert (await digitwin_db.health()).pool.in_use == 0
    slow.go_on.set()
    await making


async def test_a_factory_may_use_the_database_inside_a_transaction(
    digitwin_db_factory: DatabaseFactory,
) -> None:
    """Its work is no part of the transaction around it, and finds a connection of its own."""
    db = await digitwin_db_factory(pool_max=2, acquire_timeout=5)

    async def factory() -> int:
        async with asyncio.timeout(5):
            await db.audit.record("made", "answer")
            return await db.users.count()

    with pytest.raises(RuntimeError):
        async with db.transaction():
            await db.users.create(email="ada@example.com", name="Ada")
            assert await db.cache.responses.get_or_create("users", factory) == 0
            raise RuntimeError
    assert len((await db.audit.list()).items) == 1


async def test_a_factory_that_asks_for_its_own_entry_is_told_so(cache: CacheRepository) -> None:
    async def circular() -> object:
        return await cache.responses.get_or_create("key", circular)

    async with asyncio.timeout(5):
        with pytest.raises(InvalidStateError):
            await cache.responses.get_or_create("key", circular)


async def test_what_cannot_be_stored_is_refused_and_not_stored(cache: CacheRepository) -> None:
    async def factory() -> list[float]:
        return [float("nan")]

    with pytest.raises(InvalidInputError) as raised:
        await cache.embeddings.get_or_create("key", factory)
    assert raised.value.details["field"] == "value"


async def test_an_expired_value_is_made_anew(
    cache: CacheRepository, quick: Factory, expire: Expire
) -> None:
    await cache.responses.set("key", "old")
    await expire("responses")
    assert await cache.responses.get_or_create("key", quick) == "made"
    assert await cache.responses.get("key") == "made"


async def test_what_took_longer_than_marks_are_sure_to_live_is_given_but_not_stored(
    cache: CacheRepository, quick: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invalidation, "LONGEST_FACTORY", -1.0)
    assert await cache.responses.get_or_create("key", quick) == "made"
    assert await cache.responses.get("key") is None


async def test_a_value_is_not_lost_with_the_database(
    digitwin_url: str,
    digitwin_db_factory: DatabaseFactory,
    slow: Factory,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Proxy(dsn.parse(digitwin_url)) as proxy:
        db = await digitwin_db_factory(proxy.url)
        making = asyncio.create_task(db.cache.responses.get_or_create("key", slow))
        await slow.begun.wait()
    slow.go_on.set()
    assert await making == "made"
    assert "a value for responses was not stored" in caplog.text
