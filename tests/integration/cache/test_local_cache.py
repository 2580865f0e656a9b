"""What a process remembers is never what was invalidated, and never somebody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from digitwin.cache.repository import CacheRepository
from digitwin.database import Database
from digitwin.kernel.connection import dsn
from digitwin.testing import DatabaseFactory
from tests.faults.proxy import Proxy
from tests.integration.cache.conftest import ADA, BOB, Elsewhere, Factory, remembered
from tests.support.waiting import UntilWaiting

Act = Callable[[CacheRepository], Awaitable[Any]]
FACTORY = Factory("made")
FACTORY.go_on.set()

CHANGES: dict[str, tuple[Act, Any]] = {
    "set": (lambda cache: cache.responses.set("key", "new", user_id=ADA), "new"),
    "set among others": (
        lambda cache: cache.responses.set_many({"other": 1, "key": "new"}, user_id=ADA),
        "new",
    ),
    "deleted among others": (
        lambda cache: cache.responses.delete_many(["other", "key"], user_id=ADA),
        None,
    ),
    "deleted": (lambda cache: cache.responses.delete("key", user_id=ADA), None),
    "its tag": (lambda cache: cache.responses.invalidate(tag="prices"), None),
    "its person": (lambda cache: cache.responses.invalidate(user_id=ADA), None),
    "both": (lambda cache: cache.responses.invalidate(tag="prices", user_id=ADA), None),
    "everything": (lambda cache: cache.responses.invalidate(), None),
    "with its person": (lambda cache: cache.forget_user(ADA), None),
}
"""All the ways in which Ada's entry ``key`` with the tag ``prices`` can change, and to what."""


async def change_behind_its_back(raw: asyncpg.Connection) -> None:
    """What is answered from memory is then not what is in the table."""
    await raw.execute("""UPDATE llm_response_cache SET value = '"changed"'""")


@pytest.fixture
async def hot(cache: CacheRepository) -> CacheRepository:
    """A cache that remembers Ada's entry ``key``."""
    await cache.responses.set("key", "old", user_id=ADA, tags=["prices"])
    await remembered(cache, "key", user_id=ADA)
    return cache


async def test_what_is_remembered_is_not_asked_of_the_database(
    hot: CacheRepository, raw: asyncpg.Connection, quick: Factory
) -> None:
    await change_behind_its_back(raw)
    store = hot.responses
    assert await store.get("key", user_id=ADA) == "old"
    assert await store.get_or_create("key", quick, user_id=ADA) == "old"
    assert await store.get_many(["key"], user_id=ADA) == {"key": "old"}


async def test_many_keys_come_from_memory_and_database_in_the_order_asked_for(
    hot: CacheRepository,
) -> None:
    await hot.responses.set("other", "cold", user_id=ADA)
    found = await hot.responses.get_many(["other", "missing", "key"], user_id=ADA)
    assert list(found.items()) == [("other", "cold"), ("key", "old")]


@pytest.mark.parametrize("way", ["get", "get_many", "get_or_create"])
async def test_every_reading_counts(cache: CacheRepository, quick: Factory, way: str) -> None:
    await cache.responses.set("key", "value")
    store = cache.responses
    read: dict[str, Callable[[], Awaitable[Any]]] = {
        "get": lambda: store.get("key"),
        "get_many": lambda: store.get_many(["key"]),
        "get_or_create": lambda: store.get_or_create("key", quick),
    }
    async with asyncio.timeout(5):
        while not cache._local:
            await read[way]()


async def test_hits_from_memory_are_counted_like_others(
    hot: CacheRepository, raw: asyncpg.Connection
) -> None:
    before = (await hot.statistics())["responses"].hits
    for _ in range(10):
        await hot.responses.get("key", user_id=ADA)
    assert (await hot.statistics())["responses"].hits == before + 10
    assert await raw.fetchval("SELECT hit_count FROM llm_response_cache") == before + 10


async def test_a_value_from_memory_is_the_callers_own(cache: CacheRepository) -> None:
    await cache.responses.set("key", {"hits": []})
    (await remembered(cache, "key"))["hits"].append("mine")
    assert await cache.responses.get("key") == {"hits": []}


async def test_it_is_nobody_elses(hot: CacheRepository) -> None:
    store = hot.responses
    assert await store.get("key", user_id=BOB) is None
    assert await store.get("key") is None
    assert await store.get("key", user_id=ADA, audience="visitor") is None
    assert await store.get_many(["key"], user_id=ADA, audience="visitor") == {}
    assert await hot.searches.get("key", user_id=ADA) is None


async def test_it_is_not_remembered_longer_than_the_database_keeps_it(
    cache: CacheRepository, raw: asyncpg.Connection
) -> None:
    await cache.responses.set("key", "value", ttl=100)
    await raw.execute("UPDATE llm_response_cache SET expires_at = now() + interval '50 s'")
    await remembered(cache, "key")
    lives = await raw.fetchval(
        "SELECT extract(epoch FROM expires_at - clock_timestamp())::float FROM llm_response_cache"
    )
    (held,) = cache._local._held.values()
    assert 0 < held.until - asyncio.get_running_loop().time() <= lives


@pytest.mark.parametrize("what", CHANGES)
async def test_a_change_is_seen_as_soon_as_it_is_made(hot: CacheRepository, what: str) -> None:
    act, expected = CHANGES[what]
    await act(hot)
    assert await hot.responses.get("key", user_id=ADA) == expected


@pytest.mark.parametrize("what", CHANGES)
async def test_so_it_is_by_another_handle_of_the_loop(
    hot: CacheRepository, other: CacheRepository, what: str
) -> None:
    act, expected = CHANGES[what]
    await act(other)
    assert await hot.responses.get("key", user_id=ADA) == expected


@pytest.mark.parametrize("what", CHANGES)
async def test_a_change_elsewhere_is_heard_of(
    hot: CacheRepository, elsewhere: Elsewhere, what: str
) -> None:
    act, expected = CHANGES[what]
    await elsewhere.do(act)  # type: ignore[arg-type]
    async with asyncio.timeout(5):
        while await hot.responses.get("key", user_id=ADA) != expected:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)


async def test_what_is_made_anew_elsewhere_is_heard_of(
    hot: CacheRepository, elsewhere: Elsewhere, raw: asyncpg.Connection
) -> None:
    """Where the clocks run apart it is over there and not yet here."""
    await raw.execute("UPDATE llm_response_cache SET expires_at = now()")
    await elsewhere.do(lambda cache: cache.responses.get_or_create("key", FACTORY, user_id=ADA))
    async with asyncio.timeout(5):
        while await hot.responses.get("key", user_id=ADA) != "made":  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)


async def test_what_is_read_before_a_slow_sweep_gets_there_is_forgotten_too(
    hot: CacheRepository, elsewhere: Elsewhere, raw: asyncpg.Connection, until_waiting: UntilWaiting
) -> None:
    async with raw.transaction():
        await raw.execute("SELECT FROM llm_response_cache FOR UPDATE")
        sweeping = asyncio.create_task(
            elsewhere.do(lambda cache: cache.responses.invalidate(tag="prices"))
        )
        await until_waiting()
        await remembered(hot, "key", user_id=ADA)
    assert await sweeping == 1
    async with asyncio.timeout(5):
        while await hot.responses.get("key", user_id=ADA):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)


async def test_a_persons_entries_go_with_the_commit_and_stay_with_a_rollback(
    digitwin_db: Database, hot: CacheRepository, raw: asyncpg.Connection
) -> None:
    with pytest.raises(RuntimeError):
        async with digitwin_db.transaction():
            await hot.forget_user(ADA)
            raise RuntimeError
    assert await hot.responses.get("key", user_id=ADA) == "old"
    async with digitwin_db.transaction():
        await hot.forget_user(ADA)
        assert await remembered(hot, "key", user_id=ADA) == "old"
    assert await hot.responses.get("key", user_id=ADA) is None


async def test_a_document_that_changes_leaves_no_search_in_memory(
    digitwin_db: Database, cache: CacheRepository
) -> None:
    db = digitwin_db
    ada = await db.users.create(email="ada@example.com", name="Ada")
    document = await db.documents.create(user_id=ada.id, title="A", content="b")
    await cache.searches.set("query", [1], user_id=ada.id)
    async with asyncio.timeout(5):
        while not cache._local:
            await cache.searches.get("query", user_id=ada.id)
    await db.documents.update(document.id, title="B")
    assert await cache.searches.get("query", user_id=ada.id) is None


async def test_an_answer_that_was_under_way_is_not_remembered_after_an_invalidation(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory
) -> None:
    """It may be the old one: here it is."""
    async with Proxy(dsn.parse(digitwin_url)) as proxy:
        db = await digitwin_db_factory(proxy.url)
        store = db.cache.responses
        await store.set("the key", "old")
        await remembered(db.cache, "the key")
        db.cache._local.clear()
        hold = proxy.hold("the key")
        read = asyncio.create_task(store.get("the key"))
        await hold.answered.wait()
        await store.set("the key", "new")
        hold.release()
        assert await read == "old"
        assert await store.get("the key") == "new"
        await db.close()


async def test_the_first_value_of_a_key_is_no_news_and_the_second_is(
    cache: CacheRepository, raw: asyncpg.Connection
) -> None:
    heard: list[str] = []
    channel = await raw.fetchval("SELECT 'digitwin_cache_' || md5(current_schema())")
    await raw.add_listener(channel, lambda *news: heard.append(news[-1]))
    for key in ("a", "b"):
        await cache.responses.set(key, "first")
    await cache.responses.get_or_create("c", FACTORY)
    await raw.fetchval("SELECT 1")
    assert heard == []
    await cache.responses.set("a", "second")
    await raw.fetchval("SELECT 1")
    assert [news.split(" ")[:2] for news in heard] == [["responses", "key"]]


async def test_off_it_opens_no_connection_and_remembers_nothing(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, raw: asyncpg.Connection
) -> None:
    db = await digitwin_db_factory(digitwin_url, cache_memory_entries=0)
    await db.cache.responses.set("key", "old")
    for _ in range(3):
        assert await db.cache.responses.get("key") == "old"
    await change_behind_its_back(raw)
    assert await db.cache.responses.get("key") == "changed"
    assert not db.cache._listener._task.active
