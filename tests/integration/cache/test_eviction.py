"""A store keeps to its bounds: the oldest go first, and no write counts or waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from digitwin.cache import cache_table as tables, fields
from digitwin.cache.repository import CacheRepository
from digitwin.connecting import connect
from digitwin.database import Database
from digitwin.kernel.sql.queries import load
from digitwin.testing import DatabaseFactory
from tests.integration.cache.conftest import Factory, remembered, until
from tests.integration.cache.test_listener import trusted

Open = Callable[..., Awaitable[Database]]


@pytest.fixture
def bounded(digitwin_url: str, digitwin_db_factory: DatabaseFactory) -> Open:
    """A handle with bounds of its own, on the test's database."""

    async def opened(*, rows: int = 0, size: int = 0) -> Database:
        return await digitwin_db_factory(digitwin_url, cache_max_rows=rows, cache_max_bytes=size)

    return opened


async def fill(raw: asyncpg.Connection, sizes: list[int]) -> None:
    """Entries ``0``, ``1`` and so on, each a minute younger than the one before."""
    await raw.execute(
        "INSERT INTO llm_response_cache (key, value, size_bytes, created_at, expires_at)"
        " SELECT (n - 1)::text, '1', size, now() + make_interval(hours => -2, mins => n::int),"
        "        now() + interval '1 day'"
        " FROM unnest($1::int[]) WITH ORDINALITY AS given (size, n)",
        sizes,
    )


async def kept(raw: asyncpg.Connection) -> list[str]:
    rows = await raw.fetch("SELECT key FROM llm_response_cache ORDER BY created_at")
    return [row["key"] for row in rows]


async def test_the_oldest_go_first(bounded: Open, raw: asyncpg.Connection) -> None:
    db = await bounded(rows=3)
    await fill(raw, [1] * 5)
    assert await db.cache.make_room() == {"embeddings": 0, "searches": 0, "responses": 2}
    assert await kept(raw) == ["2", "3", "4"]
    assert (await db.cache.make_room())["responses"] == 0


async def test_so_that_the_rest_has_no_more_bytes(bounded: Open, raw: asyncpg.Connection) -> None:
    db = await bounded(size=100)
    await fill(raw, [10, 10, 60, 20, 20])
    assert (await db.cache.make_room())["responses"] == 2
    assert await kept(raw) == ["2", "3", "4"]


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sizes=st.lists(st.integers(0, 100), max_size=12),
    rows=st.integers(1, 12),
    size=st.integers(1, 400),
)
def test_what_is_kept_is_the_longest_young_end_that_fits(
    digitwin_url: str, sizes: list[int], rows: int, size: int
) -> None:
    expected = list(range(len(sizes)))
    while len(expected) > rows or sum(sizes[n] for n in expected) > size:
        expected.pop(0)
    found = asyncio.run(_left(digitwin_url, sizes, cache_max_rows=rows, cache_max_bytes=size))
    assert found == [str(n) for n in expected]


async def _left(url: str, sizes: list[int], **bounds: int) -> list[str]:
    raw = await asyncpg.connect(url)
    await raw.execute("TRUNCATE llm_response_cache")
    await fill(raw, sizes)
    async with connect(url, migrate="skip", pool_min=0, **bounds) as db:
        await db.cache.make_room()
    found = await kept(raw)
    await raw.close()
    return found


async def test_many_go_in_small_batches(
    bounded: Open, raw: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BATCH", 10)
    db = await bounded(rows=5)
    await fill(raw, [1] * 48)
    assert (await db.cache.make_room())["responses"] == 43
    assert len(await kept(raw)) == 5


async def test_of_entries_of_one_moment_no_more_go_than_must(
    bounded: Open, raw: asyncpg.Connection
) -> None:
    db = await bounded(rows=7)
    await fill(raw, [1] * 10)
    await raw.execute("UPDATE llm_response_cache SET created_at = now()")
    assert (await db.cache.make_room())["responses"] == 3


async def test_two_at_once_remove_no_more_than_one(bounded: Open, raw: asyncpg.Connection) -> None:
    first, second = await bounded(rows=100), await bounded(rows=100)
    await fill(raw, [1] * 1000)
    removed = await asyncio.gather(first.cache.make_room(), second.cache.make_room())
    assert sum(each["responses"] for each in removed) == 900
    assert len(await kept(raw)) == 100


async def test_a_row_that_somebody_is_at_is_left_to_them(
    bounded: Open, raw: asyncpg.Connection
) -> None:
    db = await bounded(rows=1)
    await fill(raw, [1] * 3)
    async with raw.transaction():
        await raw.execute("SELECT FROM llm_response_cache WHERE key = '0' FOR UPDATE")
        assert (await asyncio.wait_for(db.cache.make_room(), 5))["responses"] <= 2
    await db.cache.make_room()
    assert await kept(raw) == ["2"]


@pytest.mark.parametrize("bound", [{"rows": 20}, {"size": 200}])
async def test_it_happens_by_itself_after_some_writes(
    bounded: Open, raw: asyncpg.Connection, bound: dict[str, int]
) -> None:
    db = await bounded(**bound)
    value = 1 if "rows" in bound else "12345678"
    for n in range(60):
        await db.cache.responses.set(f"{n}", value)
    await until(lambda: not db.cache._tables["responses"]._evictor._task.active)
    found = await kept(raw)
    assert len(found) <= 22
    assert found[-1] == "59"


async def test_what_a_factory_made_counts_too(
    bounded: Open, raw: asyncpg.Connection, quick: Factory
) -> None:
    db = await bounded(rows=5)
    for n in range(20):
        await db.cache.responses.get_or_create(f"{n}", quick)
    await until(lambda: not db.cache._tables["responses"]._evictor._task.active)
    assert len(await kept(raw)) <= 6


async def test_without_bounds_nothing_goes(bounded: Open, raw: asyncpg.Connection) -> None:
    db = await bounded()
    await fill(raw, [1] * 50)
    await db.cache.responses.set("key", 1)
    assert not db.cache._tables["responses"]._evictor._task.active
    assert (await db.cache.make_room())["responses"] == 0


async def test_who_remembers_an_entry_hears_that_it_went(
    bounded: Open, cache: CacheRepository, raw: asyncpg.Connection
) -> None:
    """Or the next value of the key, which is then its first, would be no news."""
    db = await bounded(rows=1)
    await cache.responses.set("old", 1)
    await cache.responses.set("new", 1)
    await remembered(cache, "old")
    assert (await db.cache.make_room())["responses"] == 1
    entry_key = fields.entry_key("old", None, "owner")
    await until(lambda: cache._local.get("responses", entry_key) is None)
    assert trusted(cache)  # it was told, not cut off


async def test_maintenance_sees_to_it(bounded: Open, raw: asyncpg.Connection) -> None:
    db = await bounded(rows=1)
    await fill(raw, [1] * 3)
    report = await db.maintain()
    assert report.cache_evicted["responses"] == 2


async def test_closing_ends_what_is_under_way(bounded: Open, raw: asyncpg.Connection) -> None:
    db = await bounded(rows=1)
    await db.cache.responses.set("a", 1)
    await db.close()
    assert not db.cache._tables["responses"]._evictor._task.active


async def test_it_reads_the_index_by_age_alone(bounded: Open, raw: asyncpg.Connection) -> None:
    queries = (await bounded()).cache._tables["responses"]._queries
    await raw.execute(
        "INSERT INTO llm_response_cache (key, value, size_bytes, expires_at, created_at)"
        " SELECT n::text, to_json(repeat(md5(n::text), 20)), 640, now() + interval '1 day',"
        "        now() + make_interval(secs => n)"
        " FROM generate_series(1, 5000) AS n"
    )
    await raw.execute("VACUUM ANALYZE llm_response_cache")
    sql = queries["beyond"].sql
    plan = "\n".join(row[0] for row in await raw.fetch(f"EXPLAIN {sql}", 100, 10**9))
    assert "Index Only Scan" in plan
    assert "ix_llm_response_cache__created_at" in plan
    query = queries.variant("evict_batch", which=load("digitwin.cache")["older"])
    young = await raw.fetchval("SELECT now() + interval '1 day'")
    values = query.bind({"batch": 100, "until": young})
    plan = "\n".join(row[0] for row in await raw.fetch(f"EXPLAIN {query.sql}", *values))
    assert "ix_llm_response_cache__created_at" in plan
