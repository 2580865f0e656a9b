"""Whoever cannot hear of changes remembers nothing, and knows it in time."""

from __future__ import annotations

import asyncio
import math
from functools import partial

import asyncpg
import pytest

from digitwin.cache import listener
from digitwin.cache.listener import Listener
from digitwin.cache.repository import CacheRepository
from digitwin.database import Database
from digitwin.errors import ConnectionFailedError
from digitwin.kernel.connection import dsn
from digitwin.kernel.execution import opening
from digitwin.testing import DatabaseFactory
from tests.faults.proxy import Proxy
from tests.integration.cache.conftest import Elsewhere, remembered, until

TELL = listener.QUERIES["notify"].sql

LISTENING = f"datname = current_database() AND query = '{listener._HEARTBEAT}'"
"""The listener's connection: its last statement is a sign of life."""


@pytest.fixture
async def hot(cache: CacheRepository) -> CacheRepository:
    """A cache that remembers the entry ``key``."""
    await cache.responses.set("key", "old")
    await remembered(cache, "key")
    return cache


async def change_unheard(raw: asyncpg.Connection) -> None:
    await raw.execute("""UPDATE llm_response_cache SET value = '"new"'""")


def trusted(cache: CacheRepository) -> bool:
    return cache._local.trusted_until != -math.inf


async def refuse() -> asyncpg.Connection:
    raise ConnectionFailedError("not now")


async def test_a_lost_connection_clears_the_memory_until_it_is_back(
    hot: CacheRepository, raw: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(hot._listener, "_connect", refuse)
        await raw.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {LISTENING}"
        )
        await until(lambda: not trusted(hot))
        await change_unheard(raw)
        for _ in range(3):
            assert await hot.responses.get("key") == "new"
        assert len(hot._local) == 0
    assert await remembered(hot, "key") == "new"


async def test_a_server_that_became_read_only_is_not_trusted(
    hot: CacheRepository, raw: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """After a failover the old one may go on: it answers, and hears of no change."""
    name = await raw.fetchval("SELECT current_database()")
    await raw.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await raw.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {LISTENING}")
    await until(lambda: "waits for its listener" in caplog.text)
    await change_unheard(raw)
    assert not trusted(hot)
    assert await hot.responses.get("key") == "new"
    await raw.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert await remembered(hot, "key") == "new"


async def test_a_cut_network_clears_it_too(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, raw: asyncpg.Connection
) -> None:
    async with Proxy(dsn.parse(digitwin_url)) as proxy:
        db = await digitwin_db_factory(proxy.url)
        await db.cache.responses.set("key", "old")
        await remembered(db.cache, "key")
        proxy.cut()
        await change_unheard(raw)
        await until(lambda: not trusted(db.cache))
        assert await remembered(db.cache, "key") == "new"
        await db.close()


async def test_on_a_frozen_network_nothing_is_trusted_longer_than_said(
    digitwin_url: str,
    hot: CacheRepository,
    elsewhere: Elsewhere,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pool's network is well, the listener's swallows everything."""
    monkeypatch.setattr(listener, "TRUST", 0.5)
    monkeypatch.setattr(listener, "HEARTBEAT", 0.1)
    async with Proxy(dsn.parse(digitwin_url)) as proxy:
        await hot._listener.stop()
        hot._local.on = True
        settings, target = hot._core.settings, dsn.parse(proxy.url)
        connect = partial(opening.connect_once, settings, target)
        hot._listener = Listener(hot._core, connect, hot._local)
        hot._local.start_listener = hot._listener.start
        await remembered(hot, "key")
        proxy.freeze()
        await elsewhere.do(lambda cache: cache.responses.set("key", "new"))
        clock = asyncio.get_running_loop().time
        changed = last = clock()
        while await hot.responses.get("key") == "old":
            last = clock()
            await asyncio.sleep(0)
        assert last <= changed + listener.TRUST
        proxy.thaw()
        assert await remembered(hot, "key") == "new"
        await hot._listener.stop()


@pytest.fixture
async def deaf(digitwin_db_factory: DatabaseFactory, digitwin_url: str) -> Database:
    """Its listener is on another database, as far from the news as one behind a pooler."""
    away = await digitwin_db_factory()
    db = await digitwin_db_factory(digitwin_url)
    db.cache._listener._connect = away.cache._listener._connect
    return db


async def test_where_no_news_arrives_it_stays_off_and_says_so_once(
    deaf: Database, raw: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    store, local = deaf.cache.responses, deaf.cache._local
    await store.set("key", "old")
    async with asyncio.timeout(5):
        while local.on:
            await store.get("key")
    await until(lambda: not deaf.cache._listener._task.active)
    await change_unheard(raw)
    for _ in range(3):
        assert await store.get("key") == "new"
    assert caplog.text.count("no notification arrives") == 1


async def test_what_was_read_before_it_listened_is_not_remembered(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, raw: asyncpg.Connection
) -> None:
    """What changed in between was not heard."""
    async with Proxy(dsn.parse(digitwin_url)) as proxy:
        db = await digitwin_db_factory(proxy.url)
        await db.cache.responses.set("the key", "old")
        await db.cache.responses.get("the key")
        hold = proxy.hold("the key")
        read = asyncio.create_task(db.cache.responses.get("the key"))
        await hold.answered.wait()
        await change_unheard(raw)
        db.cache._listener.start()
        await until(lambda: trusted(db.cache))
        hold.release()
        assert await read == "old"
        assert await db.cache.responses.get("the key") == "new"
        await db.close()


async def test_while_it_cannot_connect_it_tries_again(
    cache: CacheRepository, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried, connect = 0, cache._listener._connect

    async def at_the_third_time() -> asyncpg.Connection:
        nonlocal tried
        tried += 1
        return await (refuse() if tried < 3 else connect())

    monkeypatch.setattr(listener, "BACKOFF", (0.001, 0.01))
    monkeypatch.setattr(cache._listener, "_connect", at_the_third_time)
    await cache.responses.set("key", "value")
    assert await remembered(cache, "key") == "value"
    assert tried == 3
    assert caplog.text.count("waits for its listener: not now") == 2


async def test_news_of_another_schema_is_not_for_us(
    hot: CacheRepository, raw: asyncpg.Connection
) -> None:
    await raw.execute("CREATE SCHEMA twins")
    await raw.execute("SET search_path TO twins")
    await raw.execute(TELL, "responses all ")
    await raw.execute("SET search_path TO public")
    await raw.execute(TELL, "searches all ")
    await until(lambda: hot._local._generations["searches"])
    assert len(hot._local) == 1


@pytest.mark.parametrize("news", ["nonsense", "responses shape round", "", "responses"])
async def test_news_it_does_not_understand_clears_everything(
    hot: CacheRepository, raw: asyncpg.Connection, news: str
) -> None:
    """A newer release may send it."""
    await raw.execute(TELL, news)
    await until(lambda: len(hot._local) == 0)


async def test_others_who_begin_to_listen_disturb_nobody(
    hot: CacheRepository, elsewhere: Elsewhere, raw: asyncpg.Connection
) -> None:
    await elsewhere.do(lambda cache: remembered(cache, "key"))
    await raw.execute(TELL, "searches all ")
    await until(lambda: hot._local._generations["searches"])
    assert len(hot._local) == 1


async def test_the_pool_knows_nothing_of_it(digitwin_db: Database, hot: CacheRepository) -> None:
    pool = (await digitwin_db.health()).pool
    assert (pool.size, pool.in_use) == (pool.idle, 0)
    assert pool.size == digitwin_db._core.pool.size


async def test_it_is_gone_when_the_handle_is_closed(
    digitwin_db: Database, hot: CacheRepository, raw: asyncpg.Connection
) -> None:
    mine = asyncio.all_tasks()
    await digitwin_db.close()
    assert not [t for t in mine if t.get_name() == "digitwin cache listener" and not t.done()]
    others = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    async with asyncio.timeout(5):
        while await raw.fetchval(others):
            pass


async def test_it_is_not_opened_for_what_is_read_once(cache: CacheRepository) -> None:
    for key in "abc":
        await cache.responses.set(key, 1)
        await cache.responses.get(key)
    assert not cache._listener._task.active
