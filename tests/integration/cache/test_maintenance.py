"""Counting, clearing away, and the work of several instances at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from digitwin.cache.cache_table import BATCH
from digitwin.cache.repository import CacheRepository
from digitwin.database import Database
from digitwin.testing import DatabaseFactory
from tests.integration.cache.conftest import ADA, TABLES

Expire = Callable[..., Awaitable[None]]

VALUES = {"embeddings": [1.0, 2.0], "searches": {"ids": [1]}, "responses": "Nine."}


@pytest.mark.parametrize("store", TABLES)
async def test_the_figures_can_be_recounted(
    cache: CacheRepository, raw: asyncpg.Connection, expire: Expire, store: str
) -> None:
    table = getattr(cache, store)
    for key in "abcd":
        await table.set(key, VALUES[store])
    await expire(store, "a")
    for key in "abx":
        await table.get(key)
    await table.get_many(["b", "c", "y"])
    found = (await cache.statistics())[store]
    size = await raw.fetchval(f"SELECT sum(size_bytes) FROM {TABLES[store]}")
    assert (found.hits, found.misses, found.hit_rate) == (3, 3, 0.5)
    assert (found.live, found.expired, found.bytes) == (3, 1, size)


async def test_a_size_is_that_of_the_stored_value(
    cache: CacheRepository, raw: asyncpg.Connection
) -> None:
    await cache.responses.set("key", "Straße")
    await cache.embeddings.set("key", [1.0] * 10)
    for table in ("llm_response_cache", "embedding_cache"):
        row = await raw.fetchrow(
            f"SELECT size_bytes, octet_length({'value' if table[0] == 'e' else 'value::text'})"
            f" AS stored FROM {table}"
        )
        assert row["size_bytes"] == row["stored"]


async def test_responses_count_their_hits_exactly_over_a_clean_stop(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, raw: asyncpg.Connection
) -> None:
    handles = [await digitwin_db_factory(digitwin_url, flush_interval=3600) for _ in range(2)]
    await handles[0].cache.responses.set("key", "value", user_id=ADA)
    for db in handles:
        await asyncio.gather(*(db.cache.responses.get("key", user_id=ADA) for _ in range(25)))
    await asyncio.gather(*(db.close() for db in handles))
    assert await raw.fetchval("SELECT hit_count FROM llm_response_cache") == 50
    assert await raw.fetchval("SELECT sum(hits) FROM cache_usage") == 50


async def test_a_new_value_begins_at_no_hits(
    digitwin_db: Database, raw: asyncpg.Connection
) -> None:
    store = digitwin_db.cache.responses
    await store.set("key", "old")
    await store.get("key")
    await digitwin_db.cache.statistics()
    await store.set("key", "new")
    assert await raw.fetchval("SELECT hit_count FROM llm_response_cache") == 0


async def test_counts_are_written_by_themselves(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, raw: asyncpg.Connection
) -> None:
    db = await digitwin_db_factory(digitwin_url, flush_interval=0.01)
    await db.cache.responses.get("nothing")
    async with asyncio.timeout(5):
        while not await raw.fetchval("SELECT sum(misses) FROM cache_usage"):
            pass


async def test_what_is_expired_is_cleared_away_and_the_rest_stays(
    cache: CacheRepository, expire: Expire
) -> None:
    for store, value in VALUES.items():
        await getattr(cache, store).set("old", value)
        await getattr(cache, store).set("young", value)
        await expire(store, "old")
    assert await cache.purge_expired() == dict.fromkeys(TABLES, 1)
    found = await cache.statistics()
    assert {name: (each.live, each.expired) for name, each in found.items()} == dict.fromkeys(
        TABLES, (1, 0)
    )


async def test_instances_at_once_share_the_work(
    cache: CacheRepository, other: CacheRepository, raw: asyncpg.Connection
) -> None:
    await raw.execute(
        "INSERT INTO vector_search_cache (key, value, size_bytes, expires_at)"
        " SELECT n::text, '1', 1, now() FROM generate_series(1, 5000) AS n"
    )
    first, second = await asyncio.gather(cache.purge_expired(), other.purge_expired())
    assert first["searches"] + second["searches"] == 5000


async def test_an_entry_somebody_holds_is_passed_by(
    cache: CacheRepository, raw: asyncpg.Connection, expire: Expire
) -> None:
    await cache.searches.set("held", 1)
    await cache.searches.set("free", 2)
    await expire("searches")
    async with raw.transaction():
        await raw.execute("SELECT FROM vector_search_cache WHERE key = 'held' FOR UPDATE")
        async with asyncio.timeout(5):
            assert (await cache.purge_expired())["searches"] == 1
    assert (await cache.purge_expired())["searches"] == 1


async def test_no_statement_removes_more_than_a_batch(
    cache: CacheRepository, raw: asyncpg.Connection
) -> None:
    """Whoever meets one of the locks waits some milliseconds at most."""
    await raw.execute(
        "CREATE TABLE removed (count int);"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN INSERT INTO removed SELECT count(*) FROM gone; RETURN NULL; END$$;"
        "CREATE TRIGGER noting AFTER DELETE ON vector_search_cache"
        " REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION note();"
        "INSERT INTO vector_search_cache (key, value, size_bytes, expires_at)"
        " SELECT n::text, '1', 1, now() + n % 2 * interval '1 h'"
        " FROM generate_series(1, 5000) AS n"
    )
    assert (await cache.purge_expired())["searches"] == 2500
    assert await cache.searches.invalidate() == 2500
    assert await raw.fetchval("SELECT max(count) FROM removed") == BATCH
    assert await raw.fetchval("SELECT sum(count) FROM removed") == 5000


async def test_every_call_finds_a_connection_beside_open_transactions(
    digitwin_db_factory: DatabaseFactory,
) -> None:
    db = await digitwin_db_factory(pool_max=2, acquire_timeout=5)
    async with db.transaction(), asyncio.timeout(5):
        for store, value in VALUES.items():
            table = getattr(db.cache, store)
            await table.set("key", value)
            assert await table.get("key") == value
            await table.invalidate(tag="none")
        await db.cache.purge_expired()
        await db.cache.statistics()
