"""Many entries at once, and the listing of keys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from digitwin.cache import fields, many_rows
from digitwin.cache.repository import CacheRepository
from digitwin.cache.store import Store
from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.models import User
from digitwin.testing import DatabaseFactory
from tests.integration.cache.conftest import ADA, BOB, TABLES, until
from tests.support.waiting import UntilWaiting

Expire = Callable[..., Awaitable[None]]
VALUES: dict[str, dict[str, Any]] = {
    "embeddings": {"a": [0.5, -1.0], "b": [2.0]},
    "searches": {"a": {"hits": [1, 2]}, "b": None},
    "responses": {"a": "Hi", "b": ["Ho"]},
}


@pytest.mark.parametrize("name", TABLES)
async def test_values_are_stored_and_replaced(cache: CacheRepository, name: str) -> None:
    store: Store[Any, Any] = getattr(cache, name)
    await store.set("a", [9.0], user_id=ADA)
    await store.set_many(VALUES[name], user_id=ADA)
    assert await store.get_many(["a", "b"], user_id=ADA) == VALUES[name]
    assert await store.get_many(["a", "b"], user_id=ADA, audience="visitor") == {}
    assert await store.get_many(["a", "b"], user_id=BOB) == {}
    assert await store.get_many(["a", "b"]) == {}
    await store.set_many(VALUES[name])
    assert await store.get_many(["a", "b"]) == VALUES[name]


async def test_each_entry_has_its_terms(cache: CacheRepository, raw: asyncpg.Connection) -> None:
    values = {str(n): n for n in range(20)}
    await cache.responses.set_many(values, ttl=1000, tags=["prices"])
    rows = await raw.fetch(
        "SELECT key, tags, size_bytes, hit_count,"
        " extract(epoch FROM expires_at - created_at)::float8 AS lives FROM llm_response_cache"
    )
    assert all(row["tags"] == ["prices"] and row["hit_count"] == 0 for row in rows)
    assert all(row["size_bytes"] == len(row["key"]) for row in rows)
    lives = {row["lives"] for row in rows}
    assert len(lives) == 20, "entries stored together do not expire together"
    assert all(900 <= each <= 1000 for each in lives)


async def test_nothing_asked_for_is_nothing_done(cache: CacheRepository) -> None:
    await cache.responses.set_many({})
    assert await cache.responses.delete_many([]) == 0


async def test_a_value_that_cannot_be_stored_keeps_the_others_out(cache: CacheRepository) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await cache.embeddings.set_many({"a": [1.0], "b": [float("nan")]})
    assert refused.value.details["field"] == "values"
    assert (await cache.embeddings.keys()).items == []


async def test_they_have_a_limit_together(cache: CacheRepository) -> None:
    values = dict.fromkeys(map(str, range(17)), "x" * 1_000_000)
    with pytest.raises(InvalidInputError, match="16,777,216 bytes") as refused:
        await cache.responses.set_many(values)
    assert refused.value.details == {"field": "values", "limit": 16_777_216}
    await cache.responses.set_many(dict(list(values.items())[:16]))


async def test_nothing_is_stored_for_who_was_erased(
    digitwin_db: Database, ada: User, raw: asyncpg.Connection
) -> None:
    await digitwin_db.privacy.erase(ada.id, reason="asked")
    await digitwin_db.cache.responses.set_many({"a": 1, "b": 2}, user_id=ada.id)
    assert await raw.fetchval("SELECT count(*) FROM llm_response_cache") == 0


async def test_storing_waits_for_an_erasure_under_way(
    digitwin_db: Database, ada: User, raw: asyncpg.Connection, until_waiting: UntilWaiting
) -> None:
    """The erasure's last lock, as a transaction of its own."""
    store = digitwin_db.cache.responses
    async with raw.transaction():
        await raw.execute(
            "INSERT INTO erasures (id, subject, subject_hash, reason, completed_at) VALUES"
            " (gen_random_uuid(), 'user', encode(sha256($1::text::bytea), 'hex'), 'x', now())",
            str(ada.id),
        )
        lock = many_rows.invalidation.person_target("responses", ada.id).lock
        await raw.execute("SELECT pg_advisory_xact_lock($1)", lock)
        storing = asyncio.create_task(store.set_many({"a": 1, "b": 2}, user_id=ada.id))
        await until_waiting(1)
    await storing
    assert await raw.fetchval("SELECT count(*) FROM llm_response_cache") == 0


async def test_a_rolled_back_transaction_has_stored_all_the_same(
    digitwin_db: Database, cache: CacheRepository
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await cache.responses.set_many({"a": 1, "b": 2})
            raise ZeroDivisionError
    assert (await cache.responses.keys()).items == ["a", "b"]


async def test_opposite_orders_do_not_deadlock(
    cache: CacheRepository, other: CacheRepository
) -> None:
    keys = [str(n) for n in range(200)]
    forwards, backwards = dict.fromkeys(keys, 1), dict.fromkeys(reversed(keys), 2)
    for _ in range(10):
        await asyncio.gather(
            cache.responses.set_many(forwards, user_id=ADA),
            other.responses.set_many(backwards, user_id=ADA),
            cache.responses.delete_many(keys[::-1], user_id=ADA),
            other.responses.delete_many(keys, user_id=ADA),
            cache.responses.invalidate(user_id=ADA),
        )


async def test_many_deletions_need_few_locks(
    cache: CacheRepository, raw: asyncpg.Connection, until_waiting: UntilWaiting
) -> None:
    """One lock for each key would take up the server's room for locks."""
    await cache.responses.set_many({"held": 1})
    async with raw.transaction():
        await raw.execute("SELECT FROM llm_response_cache FOR UPDATE")
        keys = [*map(str, range(900)), "held"]
        deleting = asyncio.create_task(cache.responses.delete_many(keys))
        await until_waiting(1)
        held = await raw.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    assert await deleting == 1
    assert held == 1


async def test_deletions_count_living_entries(cache: CacheRepository, expire: Expire) -> None:
    await cache.responses.set_many({"a": 1, "b": 2, "c": 3}, user_id=ADA)
    await cache.responses.set_many({"a": 1}, user_id=BOB)
    await expire("responses", "b")
    assert await cache.responses.delete_many(["a", "b", "x", "a"], user_id=ADA) == 1
    assert await cache.responses.get_many(["a", "b", "c"], user_id=ADA) == {"c": 3}
    assert await cache.responses.get("a", user_id=BOB) == 1


async def test_each_value_counts_for_eviction(
    digitwin_db_factory: DatabaseFactory, digitwin_url: str, raw: asyncpg.Connection
) -> None:
    db = await digitwin_db_factory(digitwin_url, cache_max_rows=20)
    await db.cache.responses.set_many({f"{n}": n for n in range(60)})
    await db.cache.responses.set_many({"last": 1, "of all": 2})
    await until(lambda: not db.cache._tables["responses"]._evictor._task.active)
    assert await raw.fetchval("SELECT count(*) FROM llm_response_cache") <= 22


@pytest.mark.parametrize(
    "values",
    [
        "abc",
        None,
        [("a", 1)],
        {"": 1},
        {"x" * 513: 1},
        {7: 1},
        dict.fromkeys(map(str, range(1001))),
    ],
)
async def test_values_by_key_are_checked(cache: CacheRepository, values: Any) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await cache.searches.set_many(values)
    assert refused.value.details["field"] == "values"


@pytest.mark.parametrize("keys", ["abc", None, [""], ["ok", 7], [str(n) for n in range(1001)]])
async def test_keys_to_delete_are_checked(cache: CacheRepository, keys: Any) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await cache.searches.delete_many(keys)
    assert refused.value.details["field"] == "keys"


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("prefix", None),
        ("prefix", "x" * 513),
        ("prefix", "a\0"),
        ("prefix", b"a"),
        ("limit", 0),
        ("limit", 1001),
        ("limit", "5"),
        ("after", ""),
        ("after", 5),
        ("after", "\ud800"),
        ("user_id", "ada"),
        ("audience", "everybody"),
    ],
)
async def test_a_listing_checks_what_it_is_given(
    cache: CacheRepository, field: str, wrong: Any
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await cache.searches.keys(**{field: wrong})
    assert refused.value.details["field"] == field


async def listed(store: Store[Any, Any], prefix: str, limit: int, **whose: Any) -> list[str]:
    """All pages, each within its limit."""
    found: list[str] = []
    after = None
    async with asyncio.timeout(10):
        while True:
            page = await store.keys(prefix, limit=limit, after=after, **whose)
            assert len(page.items) <= limit
            found += page.items
            after = page.next_cursor
            if after is None:
                return found


@pytest.mark.parametrize("memory", [0, 1000])
async def test_living_keys_of_one_person_and_audience_are_listed(
    digitwin_db_factory: DatabaseFactory, digitwin_url: str, expire: Expire, memory: int
) -> None:
    db = await digitwin_db_factory(digitwin_url, cache_memory_entries=memory)
    store = db.cache.responses
    await store.set_many({"a": 1, "b": 2, "gone": 3}, user_id=ADA)
    await store.set_many({"visitor's": 1}, user_id=ADA, audience="visitor")
    await store.set_many({"Bob's": 1}, user_id=BOB)
    await store.set_many({"nobody's": 1})
    await db.cache.searches.set_many({"elsewhere": 1}, user_id=ADA)
    for _ in range(3):
        await store.get("gone", user_id=ADA)
    await expire("responses", "gone")
    assert (await store.keys(user_id=ADA)).items == ["a", "b"]
    assert (await store.keys(user_id=ADA, audience="visitor")).items == ["visitor's"]
    assert (await store.keys(user_id=BOB)).items == ["Bob's"]
    assert (await store.keys()).items == ["nobody's"]
    assert (await store.keys(user_id=UUID(int=5))).items == []


TEXTS = st.text(alphabet="aAbé%_\\:^.* \u200b\U0001f600", max_size=4)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    keys=st.sets(TEXTS.filter(bool), max_size=12),
    expired=st.sets(TEXTS.filter(bool), max_size=3),
    prefix=TEXTS,
    limit=st.integers(1, 5),
    examined=st.integers(1, 6),
)
async def test_pages_are_the_keys_with_the_prefix(
    cache: CacheRepository,
    raw: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    keys: set[str],
    expired: set[str],
    prefix: str,
    limit: int,
    examined: int,
) -> None:
    monkeypatch.setattr(many_rows, "EXAMINED", examined)
    store = cache.responses
    await store.invalidate()
    await store.set_many(dict.fromkeys(keys | expired, 1), user_id=ADA)
    await raw.execute(
        "UPDATE llm_response_cache SET expires_at = now() WHERE key = ANY($1)", list(expired)
    )
    found = await listed(store, prefix, limit, user_id=ADA)
    assert len(found) == len(set(found))
    assert set(found) == {key for key in keys - expired if key.startswith(prefix)}


async def test_the_collation_of_the_database_changes_the_order_alone(
    cache: CacheRepository, raw: asyncpg.Connection
) -> None:
    """ICU does not sort the keys with a prefix together: it looks at spaces and case last."""
    if not await raw.fetchval("SELECT count(*) FROM pg_collation WHERE collname = 'und-x-icu'"):
        pytest.skip("the server has no ICU")
    await raw.execute(
        'ALTER TABLE llm_response_cache ALTER key TYPE varchar(512) COLLATE "und-x-icu"'
    )
    keys = ["a", "A", "ab", "Ab", "a b", "b", "B", "a%", "\u0e40\u0e01", "\u0e40"]
    await cache.responses.set_many(dict.fromkeys(keys, 1), user_id=ADA)
    found = await listed(cache.responses, "", 3, user_id=ADA)
    assert sorted(found) == sorted(keys)
    assert found != sorted(keys)
    for prefix in ("a", "A", "b", "\u0e40"):
        found = await listed(cache.responses, prefix, 1, user_id=ADA)
        assert sorted(found) == sorted(key for key in keys if key.startswith(prefix))


async def test_a_page_examines_a_bounded_number_of_entries(
    cache: CacheRepository, raw: asyncpg.Connection
) -> None:
    await raw.execute(
        "INSERT INTO llm_response_cache (key, value, size_bytes, expires_at)"
        " SELECT 'a' || n, '1', 1, now() + interval '1 hour' FROM generate_series(1, 12000) AS n"
    )
    await cache.responses.set("b", 1)
    page = await cache.responses.keys("b")
    assert page.items == []
    assert page.next_cursor is not None
    page = await cache.responses.keys("b", after=page.next_cursor)
    assert (page.items, page.next_cursor) == (["b"], None)


async def test_a_page_goes_on_after_a_key_that_is_gone(cache: CacheRepository) -> None:
    await cache.responses.set_many(dict.fromkeys("abc", 1))
    page = await cache.responses.keys(limit=1)
    await cache.responses.delete("a")
    assert (await cache.responses.keys(after=page.next_cursor)).items == ["b", "c"]


def test_the_limits_are_those_documented() -> None:
    assert (fields.MAX_KEYS, fields.MAX_TOGETHER, many_rows.EXAMINED) == (1000, 2**24, 10_000)
