"""A server's clock that was ahead for a moment: no value lives longer than its time to live."""

from __future__ import annotations

import asyncpg
import pytest

from digitwin.cache.repository import CacheRepository
from digitwin.database import Database
from digitwin.testing import DatabaseFactory

TABLES = ("embedding_cache", "vector_search_cache", "llm_response_cache")


async def as_if_written_ahead(raw: asyncpg.Connection) -> None:
    """How the rows look once a jump of a day is corrected."""
    for table in TABLES:
        await raw.execute(
            f"UPDATE {table} SET created_at = created_at + interval '1 day',"
            " expires_at = expires_at + interval '1 day',"
            " stale_until = stale_until + interval '1 day'"
        )


@pytest.fixture
async def cache(digitwin_db: Database, raw: asyncpg.Connection) -> CacheRepository:
    """With a value in each store, written while the clock was ahead."""
    await digitwin_db.cache.embeddings.set("k", [1.0])
    await digitwin_db.cache.searches.set("k", "old")
    await digitwin_db.cache.responses.set("k", "old")
    await as_if_written_ahead(raw)
    return digitwin_db.cache


async def test_no_read_returns_it(cache: CacheRepository) -> None:
    for store in (cache.embeddings, cache.searches, cache.responses):
        for _ in range(3):  # the local cache remembers nothing of it either
            assert await store.get("k") is None
        assert await store.get_many(["k"]) == {}
        assert (await store.keys()).items == []
        assert await store.delete("k") is False


async def test_a_new_value_takes_its_place(cache: CacheRepository) -> None:
    async def make() -> str:
        return "new"

    assert await cache.responses.get_or_create("k", make) == "new"
    assert await cache.responses.get("k") == "new"


async def test_nor_is_it_served_stale(
    digitwin_db_factory: DatabaseFactory, digitwin_url: str, raw: asyncpg.Connection
) -> None:
    db = await digitwin_db_factory(digitwin_url)
    made = iter(["old", "new"])

    async def make() -> str:
        return next(made)

    async def called() -> str:
        return await db.cache.responses.get_or_create("k", make, stale_while_revalidate=3600)

    assert await called() == "old"
    await as_if_written_ahead(raw)
    assert await called() == "new"


async def test_maintenance_removes_it_before_the_clock_gets_there(
    cache: CacheRepository, raw: asyncpg.Connection
) -> None:
    assert {store.live for store in (await cache.statistics()).values()} == {0}
    assert set((await cache.purge_expired()).values()) == {1}
    for table in TABLES:
        assert await raw.fetchval(f"SELECT count(*) FROM {table}") == 0
