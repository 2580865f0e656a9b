"""What every store does: keep a value for a while, for whom it was meant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from digitwin.cache.repository import CacheRepository
from digitwin.cache.store import Store
from digitwin.database import Database
from digitwin.errors import InvalidInputError
from tests.integration.cache.conftest import ADA, BOB, TABLES, Factory

Expire = Callable[..., Awaitable[None]]
VALUE: dict[str, Any] = {"embeddings": [0.5, -1.0], "searches": {"hits": [1, 2]}, "responses": "Hi"}
DEFAULT_TTL = {"embeddings": 3600, "searches": 1800, "responses": 3600}


@pytest.fixture(params=sorted(TABLES))
def name(request: pytest.FixtureRequest) -> str:
    """Each store in turn."""
    store: str = request.param
    return store


@pytest.fixture
def store(cache: CacheRepository, name: str) -> Store[Any, Any]:
    found: Store[Any, Any] = getattr(cache, name)
    return found


async def test_what_is_set_is_there(store: Store[Any, Any], name: str) -> None:
    await store.set("key", VALUE[name])
    assert await store.get("key") == VALUE[name]


async def test_what_was_never_set_is_none(store: Store[Any, Any]) -> None:
    assert await store.get("key") is None


async def test_the_last_one_to_set_wins(store: Store[Any, Any], name: str) -> None:
    await store.set("key", [9.0])
    await store.set("key", VALUE[name])
    assert await store.get("key") == VALUE[name]


async def test_stores_do_not_share_keys(cache: CacheRepository, name: str) -> None:
    await getattr(cache, name).set("key", VALUE[name])
    for other in TABLES.keys() - {name}:
        assert await getattr(cache, other).get("key") is None


async def test_one_persons_entry_is_no_other_persons(store: Store[Any, Any], name: str) -> None:
    await store.set("key", VALUE[name], user_id=ADA)
    assert await store.get("key", user_id=str(ADA)) == VALUE[name]
    assert await store.get("key", user_id=BOB) is None
    assert await store.get("key") is None
    assert await store.get_many(["key"], user_id=BOB) == {}


async def test_an_owners_entry_is_no_visitors(store: Store[Any, Any], name: str) -> None:
    await store.set("key", VALUE[name], user_id=ADA)
    assert await store.get("key", user_id=ADA, audience="visitor") is None
    await store.set("key", [1.0], user_id=ADA, audience="visitor")
    assert await store.get("key", user_id=ADA) == VALUE[name]
    assert await store.get("key", user_id=ADA, audience="visitor") == [1.0]


async def test_get_or_create_looks_in_its_own_place_only(
    store: Store[Any, Any], quick: Factory
) -> None:
    quick.value = [1.0]
    for scope in (
        {},
        {"user_id": ADA},
        {"user_id": BOB},
        {"user_id": ADA, "audience": "visitor"},
    ):
        for _ in range(2):
            assert await store.get_or_create("key", quick, **scope) == [1.0]  # type: ignore[arg-type]
    assert quick.calls == 4


async def test_many_keys_are_asked_for_at_once(store: Store[Any, Any], name: str) -> None:
    await store.set("a", [1.0])
    await store.set("b", VALUE[name])
    found = await store.get_many(["b", "missing", "a", "b"])
    assert list(found.items()) == [("b", VALUE[name]), ("a", [1.0])]
    assert await store.get_many([]) == {}


async def test_an_expired_entry_is_invisible_before_it_is_cleared_away(
    store: Store[Any, Any], name: str, expire: Expire, quick: Factory
) -> None:
    quick.value = [1.0]
    await store.set("key", VALUE[name])
    await expire(name)
    assert await store.get("key") is None
    assert await store.get_many(["key"]) == {}
    assert await store.delete("key") is False
    await store.set("key", VALUE[name])
    await expire(name)
    assert await store.get_or_create("key", quick) == [1.0]
    assert await store.get("key") == [1.0]


@pytest.mark.parametrize(
    ("ttl", "expected"),
    [(None, None), (0.25, 0.25), (90, 90), (timedelta(minutes=2), 120), (366 * 86_400, 31_622_400)],
)
@pytest.mark.parametrize("way", ["set", "get_or_create"])
async def test_the_time_to_live_counts_from_the_write_by_the_database_clock(
    store: Store[Any, Any],
    name: str,
    raw: asyncpg.Connection,
    quick: Factory,
    ttl: Any,
    expected: float | None,
    way: str,
) -> None:
    quick.value = [1.0]
    store._chance = lambda: 0.0
    before = await raw.fetchval("SELECT clock_timestamp()")
    if way == "set":
        await store.set("key", [1.0], ttl=ttl)
    else:
        await store.get_or_create("key", quick, ttl=ttl)
    row = await raw.fetchrow(f"SELECT created_at, expires_at FROM {TABLES[name]}")
    assert before <= row["created_at"] <= await raw.fetchval("SELECT clock_timestamp()")
    lives = (row["expires_at"] - row["created_at"]).total_seconds()
    assert lives == (DEFAULT_TTL[name] if expected is None else expected)


@pytest.mark.parametrize(("chance", "lives"), [(0.0, 100), (0.25, 97.5), (1.0, 90)])
async def test_an_entry_lives_a_tenth_shorter_at_most(
    store: Store[Any, Any], name: str, raw: asyncpg.Connection, chance: float, lives: float
) -> None:
    store._chance = lambda: chance
    await store.set("key", [1.0], ttl=100)
    row = await raw.fetchrow(f"SELECT created_at, expires_at FROM {TABLES[name]}")
    assert (row["expires_at"] - row["created_at"]).total_seconds() == pytest.approx(lives)


async def test_entries_of_one_moment_do_not_expire_together(
    store: Store[Any, Any], name: str, raw: asyncpg.Connection
) -> None:
    for key in range(20):
        await store.set(f"{key}", [1.0], ttl=1000)
    lives = await raw.fetch(
        f"SELECT extract(epoch FROM expires_at - created_at)::float8 FROM {TABLES[name]}"
    )
    assert len({row[0] for row in lives}) == 20
    assert all(900 <= row[0] <= 1000 for row in lives)


async def test_a_new_value_has_a_new_time_and_new_tags(
    store: Store[Any, Any], name: str, raw: asyncpg.Connection
) -> None:
    await store.set("key", [1.0], ttl=10, tags=["a", "b", "a"])
    await store.set("key", [1.0, 2.0], ttl=1000, tags=["c"])
    row = await raw.fetchrow(f"SELECT tags, expires_at > now() + '1 min' FROM {TABLES[name]}")
    assert tuple(row) == (["c"], True)


async def test_delete_says_whether_it_was_there(store: Store[Any, Any], name: str) -> None:
    await store.set("key", VALUE[name])
    await store.set("other", VALUE[name])
    assert await store.delete("key") is True
    assert await store.delete("key") is False
    assert await store.get_many(["key", "other"]) == {"other": VALUE[name]}


async def test_a_rolled_back_transaction_has_cached_all_the_same(
    digitwin_db: Database, store: Store[Any, Any], name: str
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await store.set("key", VALUE[name])
            raise ZeroDivisionError
    assert await store.get("key") == VALUE[name]


async def test_the_longest_key_and_tags_fit(store: Store[Any, Any], name: str) -> None:
    key, tags = (
        "\N{GRINNING FACE}" * 512,
        [f"{n}".ljust(200, "\N{GRINNING FACE}") for n in range(32)],
    )
    await store.set(key, VALUE[name], tags=tags)
    assert await store.get(key) == VALUE[name]
    assert await store.delete(key)


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("key", {"key": ""}),
    ("key", {"key": "x" * 513}),
    ("key", {"key": "a\0b"}),
    ("key", {"key": "\ud800"}),
    ("key", {"key": b"key"}),
    ("key", {"key": None}),
    ("user_id", {"user_id": "ada"}),
    ("user_id", {"user_id": 7}),
    ("audience", {"audience": "everybody"}),
    ("audience", {"audience": None}),
    ("audience", {"audience": []}),
    ("ttl", {"ttl": 0}),
    ("ttl", {"ttl": -1}),
    ("ttl", {"ttl": float("nan")}),
    ("ttl", {"ttl": True}),
    ("ttl", {"ttl": "60"}),
    ("ttl", {"ttl": 367 * 86_400}),
    ("tags", {"tags": "news"}),
    ("tags", {"tags": ["x" * 201]}),
    ("tags", {"tags": [""]}),
    ("tags", {"tags": [7]}),
    ("tags", {"tags": ["a\0b"]}),
    ("tags", {"tags": [str(n) for n in range(33)]}),
    ("tags", {"tags": None}),
]


@pytest.mark.parametrize(("field", "wrong"), WRONG)
async def test_bad_input_is_refused_before_anything_is_made_or_sent(
    cache: CacheRepository, quick: Factory, field: str, wrong: dict[str, Any]
) -> None:
    given = {"key": "key", **wrong}
    for call in (
        cache.searches.set(value="x", **given),
        cache.searches.get_or_create(factory=quick, **given),
    ):
        with pytest.raises(InvalidInputError) as refused:
            await call
        assert refused.value.details["field"] == field
    assert quick.calls == 0


@pytest.mark.parametrize(
    ("field", "wrong"), [case for case in WRONG if case[0] in "key user_id audience"]
)
async def test_reads_and_deletions_refuse_bad_input_too(
    cache: CacheRepository, field: str, wrong: dict[str, Any]
) -> None:
    given: dict[str, Any] = {"key": "key", **wrong}
    for call in (cache.searches.get(**given), cache.searches.delete(**given)):
        with pytest.raises(InvalidInputError) as refused:
            await call
        assert refused.value.details["field"] == field


@pytest.mark.parametrize("keys", ["abc", None, [""], ["ok", 7], [str(n) for n in range(1001)]])
async def test_many_keys_are_checked_too(cache: CacheRepository, keys: Any) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await cache.searches.get_many(keys)
    assert refused.value.details["field"] == "keys"


@pytest.mark.parametrize(("field", "value"), [("tag", ""), ("tag", 7), ("user_id", "ada")])
async def test_invalidate_checks_what_it_is_given(
    cache: CacheRepository, field: str, value: Any
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await cache.searches.invalidate(**{field: value})
    assert refused.value.details["field"] == field
