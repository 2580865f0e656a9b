"""Where it is asked for, an old value is given at once while one call makes the new one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from digitwin.cache import fields
from digitwin.cache.repository import CacheRepository
from digitwin.cache.rows import CacheRow
from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.testing import DatabaseFactory
from tests.integration.cache.conftest import Factory, remembered, until

Expire = Callable[..., Awaitable[None]]


async def ask(cache: CacheRepository, factory: Factory, **terms: Any) -> Any:
    terms = {"stale_while_revalidate": 60, **terms}
    return await cache.responses.get_or_create("key", factory, **terms)


async def settled(cache: CacheRepository) -> None:
    await until(lambda: not cache.responses._loader._refreshing)


@pytest.fixture
async def old(cache: CacheRepository, expire: Expire) -> CacheRepository:
    """A cache whose entry has just expired."""
    first = Factory("old")
    first.go_on.set()
    assert await ask(cache, first, tags=["a"]) == "old"
    await expire("responses")
    return cache


async def test_the_old_value_is_given_while_one_call_makes_the_new_one(
    old: CacheRepository, slow: Factory
) -> None:
    given = await asyncio.gather(*(ask(old, slow) for _ in range(20)))
    assert given == ["old"] * 20
    await asyncio.wait_for(slow.begun.wait(), 5)
    assert await ask(old, slow) == "old"
    slow.go_on.set()
    await settled(old)
    assert await ask(old, slow) == "made"
    assert slow.calls == 1


async def test_of_all_who_ask_at_once_one_begins_it(cache: CacheRepository) -> None:
    loader, calls = cache.responses._loader, []

    async def load() -> CacheRow:
        calls.append(1)
        raise RuntimeError("no model")

    for _ in range(20):
        loader.refresh(fields.entry_key("key", None, "owner"), [], [], load)
    assert len(asyncio.all_tasks()) < 20
    await settled(cache)
    assert len(calls) == 1


async def test_of_two_handles_one_makes_it(
    old: CacheRepository, other: CacheRepository, slow: Factory, quick: Factory
) -> None:
    assert await ask(old, slow) == "old"
    await asyncio.wait_for(slow.begun.wait(), 5)
    assert await ask(other, quick) == "old"
    slow.go_on.set()
    await settled(old)
    await settled(other)
    assert (slow.calls, quick.calls) == (1, 0)


async def test_who_does_not_ask_for_it_is_given_nothing_old(
    old: CacheRepository, quick: Factory
) -> None:
    assert await old.responses.get("key") is None
    assert await old.responses.get_many(["key"]) == {}
    assert await old.responses.get_or_create("key", quick) == "made"


async def test_nor_who_asks_for_what_is_older(
    old: CacheRepository, quick: Factory, raw: asyncpg.Connection
) -> None:
    await raw.execute("UPDATE llm_response_cache SET expires_at = now() - interval '61 s'")
    assert await ask(old, quick) == "made"


async def test_nor_what_was_invalidated(old: CacheRepository, quick: Factory) -> None:
    await old.responses.invalidate(tag="a")
    assert await ask(old, quick) == "made"


async def test_what_was_begun_before_an_invalidation_is_not_stored(
    old: CacheRepository, slow: Factory
) -> None:
    assert await ask(old, slow) == "old"
    await asyncio.wait_for(slow.begun.wait(), 5)
    await old.responses.invalidate()
    slow.go_on.set()
    await settled(old)
    assert await old.responses.get("key") is None


async def test_a_factory_that_fails_is_heard_of_and_the_old_value_given_on(
    old: CacheRepository, quick: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Factory(RuntimeError("no model"))
    failing.go_on.set()
    assert await ask(old, failing) == "old"
    await settled(old)
    assert "was not refreshed" in caplog.text
    assert "no model" in caplog.text
    assert await ask(old, quick) == "old"
    await settled(old)
    assert await ask(old, quick) == "made"


async def test_it_is_kept_until_then_and_no_longer(
    old: CacheRepository, raw: asyncpg.Connection
) -> None:
    assert (await old.purge_expired())["responses"] == 0
    assert await raw.fetchval(
        "SELECT stale_until BETWEEN now() + '50 s' AND created_at + '3660 s'"
        " FROM llm_response_cache"
    )
    await raw.execute("UPDATE llm_response_cache SET stale_until = now()")
    assert (await old.purge_expired())["responses"] == 1


async def test_a_new_value_without_it_is_not_kept(
    old: CacheRepository, raw: asyncpg.Connection
) -> None:
    await old.responses.set("key", "new")
    assert await raw.fetchval("SELECT stale_until IS NULL FROM llm_response_cache")


async def test_memory_does_not_give_it_longer(
    old: CacheRepository, expire: Expire, slow: Factory
) -> None:
    """It remembers only what has time left."""
    await old.responses.set("other", "fresh")
    await remembered(old, "other")
    for _ in range(5):
        assert await ask(old, slow) == "old"
    assert len(old._local) == 1
    slow.go_on.set()


async def test_closing_waits_for_it(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, old: CacheRepository, slow: Factory
) -> None:
    db: Database = await digitwin_db_factory(digitwin_url)
    assert await ask(db.cache, slow) == "old"
    await asyncio.wait_for(slow.begun.wait(), 5)
    closing = asyncio.create_task(db.close())
    await until(lambda: db._core.closing)
    slow.go_on.set()
    await asyncio.wait_for(closing, 5)
    assert await old.responses.get("key") == "made"


async def test_but_not_longer_than_it_drains(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, old: CacheRepository, slow: Factory
) -> None:
    db: Database = await digitwin_db_factory(digitwin_url, drain_timeout=0.05)
    assert await ask(db.cache, slow) == "old"
    await asyncio.wait_for(slow.begun.wait(), 5)
    await asyncio.wait_for(db.close(), 5)
    assert not db.cache.responses._loader._refreshing


@pytest.mark.parametrize("wrong", [-1, "a minute", float("nan"), timedelta(days=367), True])
async def test_a_time_that_does_not_fit_is_refused(
    cache: CacheRepository, quick: Factory, wrong: Any
) -> None:
    with pytest.raises(InvalidInputError) as raised:
        await ask(cache, quick, stale_while_revalidate=wrong)
    assert raised.value.details["field"] == "stale_while_revalidate"


async def test_it_runs_outside_the_transaction_of_who_asked(
    digitwin_db: Database, old: CacheRepository
) -> None:
    async def factory() -> object:
        await digitwin_db.audit.record("made", "answer")
        return "made"

    with pytest.raises(RuntimeError):
        async with digitwin_db.transaction():
            given = await old.responses.get_or_create("key", factory, stale_while_revalidate=60)
            assert given == "old"
            raise RuntimeError
    await settled(old)
    assert await old.responses.get("key") == "made"
