"""What is invalidated is not to be had again, whoever was just about to store it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from digitwin.cache import invalidation
from digitwin.cache.fields import EntryKey
from digitwin.cache.repository import CacheRepository
from digitwin.database import Database
from digitwin.kernel.primitives.ids import NOBODY
from tests.integration.cache.conftest import ADA, BOB, TABLES, Factory
from tests.support.waiting import UntilWaiting

FORGET: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "its tag": lambda store: store.invalidate(tag="prices"),
    "its person": lambda store: store.invalidate(user_id=ADA),
    "its person and tag": lambda store: store.invalidate(tag="prices", user_id=ADA),
    "everything": lambda store: store.invalidate(),
    "the entry": lambda store: store.delete("key", user_id=ADA),
    "a few entries": lambda store: store.delete_many(["key", "other"], user_id=ADA),
    "many entries": lambda store: store.delete_many([*map(str, range(99)), "key"], user_id=ADA),
}
"""All the ways in which an entry of Ada's with the tag ``prices`` can be forgotten."""


@pytest.mark.parametrize("how", FORGET)
async def test_what_is_forgotten_is_not_there(cache: CacheRepository, how: str) -> None:
    store = cache.responses
    await store.set("key", "old", user_id=ADA, tags=["prices"])
    assert await FORGET[how](store) == 1
    assert await store.get("key", user_id=ADA) is None


@pytest.mark.parametrize("how", FORGET)
async def test_what_a_factory_began_before_is_not_stored_after(
    cache: CacheRepository, slow: Factory, how: str
) -> None:
    store = cache.responses
    making = asyncio.create_task(store.get_or_create("key", slow, user_id=ADA, tags=["prices"]))
    await slow.begun.wait()
    await FORGET[how](store)
    slow.go_on.set()
    assert await making == "made"
    assert await store.get("key", user_id=ADA) is None


@pytest.mark.parametrize("how", FORGET)
async def test_nor_when_another_process_forgets(
    cache: CacheRepository, other: CacheRepository, slow: Factory, how: str
) -> None:
    making = asyncio.create_task(
        cache.responses.get_or_create("key", slow, user_id=ADA, tags=["prices"])
    )
    await slow.begun.wait()
    await FORGET[how](other.responses)
    slow.go_on.set()
    await making
    assert await other.responses.get("key", user_id=ADA) is None


async def test_what_is_asked_for_after_an_invalidation_is_made_anew(
    cache: CacheRepository, slow: Factory
) -> None:
    """Whoever asks later joins no factory from before."""
    store, fresh = cache.responses, Factory("fresh")
    fresh.go_on.set()
    before = asyncio.create_task(store.get_or_create("key", slow, tags=["prices"]))
    await slow.begun.wait()
    await store.invalidate(tag="prices")
    async with asyncio.timeout(5):
        assert await store.get_or_create("key", fresh, tags=["prices"]) == "fresh"
    slow.go_on.set()
    assert await before == "made"
    assert await store.get("key") == "fresh"


async def test_others_stay(cache: CacheRepository) -> None:
    store = cache.responses
    await store.set("key", "Ada's", user_id=ADA, tags=["prices"])
    await store.set("key", "Bob's", user_id=BOB, tags=["prices"])
    await store.set("other", "Ada's other", user_id=ADA, tags=["hours"])
    await cache.searches.set("key", "elsewhere", user_id=ADA, tags=["prices"])
    assert await store.invalidate(tag="prices", user_id=ADA) == 1
    assert await store.get("key", user_id=BOB) == "Bob's"
    assert await store.get("other", user_id=ADA) == "Ada's other"
    assert await cache.searches.get("key", user_id=ADA) == "elsewhere"


async def test_both_audiences_are_forgotten(cache: CacheRepository) -> None:
    store = cache.searches
    for audience in ("owner", "visitor"):
        await store.set("key", audience, user_id=ADA, audience=audience)  # type: ignore[arg-type]
    assert await store.invalidate(user_id=ADA) == 2


async def test_more_than_a_batch_is_forgotten(
    cache: CacheRepository, raw: asyncpg.Connection
) -> None:
    await raw.execute(
        "INSERT INTO llm_response_cache (key, value, tags, size_bytes, expires_at)"
        " SELECT n::text, '1', '{many}', 1, now() + interval '1 hour'"
        " FROM generate_series(1, 2500) AS n"
    )
    assert await cache.responses.invalidate(tag="many") == 2500


async def test_storing_waits_for_an_invalidation_under_way(
    cache: CacheRepository, slow: Factory, raw: asyncpg.Connection, until_waiting: UntilWaiting
) -> None:
    """Between the mark and its commit nothing slips in."""
    store = cache.responses
    making = asyncio.create_task(store.get_or_create("key", slow, tags=["prices"]))
    await slow.begun.wait()
    target = invalidation.tag_target("responses", "prices")
    forgetting = raw.transaction()
    await forgetting.start()
    await raw.execute("SELECT pg_advisory_xact_lock($1)", target.lock)
    await raw.execute(
        "INSERT INTO cache_invalidations (store, kind, name, epoch)"
        " VALUES ('responses', 'tag', 'prices', nextval('cache_epoch_seq'))"
    )
    slow.go_on.set()
    await until_waiting()
    await forgetting.commit()
    await making
    assert await store.get("key") is None


async def test_invalidations_in_opposite_orders_never_wait_in_a_circle(
    cache: CacheRepository,
    other: CacheRepository,
    raw: asyncpg.Connection,
    until_waiting: UntilWaiting,
) -> None:
    first, last = sorted(
        (invalidation.tag_target("searches", tag) for tag in "ab"), key=lambda t: t.lock
    )

    async def forget(by: CacheRepository, targets: list[invalidation.InvalidationTarget]) -> None:
        async with by._core.aside.transaction() as on:
            await invalidation.record(on, targets)

    async with asyncio.timeout(10), asyncio.TaskGroup() as both, raw.transaction():
        await raw.execute("SELECT pg_advisory_xact_lock($1)", last.lock)
        both.create_task(forget(cache, [last, first]))
        await until_waiting()
        both.create_task(forget(other, [first, last]))
        await until_waiting(2)


async def test_forgetting_a_person_goes_with_the_transaction(
    digitwin_db: Database, cache: CacheRepository
) -> None:
    await cache.responses.set("key", "kept", user_id=ADA)
    with pytest.raises(RuntimeError):
        async with digitwin_db.transaction():
            await cache.forget_user(ADA)
            raise RuntimeError
    assert await cache.responses.get("key", user_id=ADA) == "kept"
    async with digitwin_db.transaction():
        await cache.forget_user(ADA)
        assert await cache.responses.get("key", user_id=ADA) == "kept"
    assert await cache.responses.get("key", user_id=ADA) is None


@pytest.mark.parametrize("store", TABLES)
async def test_a_persons_searches_are_forgotten_with_the_transaction_and_nothing_else(
    digitwin_db: Database, cache: CacheRepository, store: str
) -> None:
    table = getattr(cache, store)
    for person in (ADA, BOB):
        await table.set("key", [1.0], user_id=person)
    with pytest.raises(RuntimeError):
        async with digitwin_db.transaction():
            await cache.forget_searches(ADA)
            raise RuntimeError
    assert await table.get("key", user_id=ADA) == [1.0]
    await cache.forget_searches(ADA)
    assert (await table.get("key", user_id=ADA) is None) == (store == "searches")
    assert await table.get("key", user_id=BOB) == [1.0]


async def test_what_a_savepoint_takes_back_is_not_forgotten(
    digitwin_db: Database, cache: CacheRepository
) -> None:
    await cache.searches.set("key", "kept", user_id=ADA)
    async with digitwin_db.transaction():
        with pytest.raises(RuntimeError):
            async with digitwin_db.transaction():
                await cache.forget_user(ADA)
                raise RuntimeError
    assert await cache.searches.get("key", user_id=ADA) == "kept"


async def test_a_transaction_that_has_forgotten_keeps_nobody_waiting_before_its_commit(
    digitwin_db: Database, cache: CacheRepository, quick: Factory
) -> None:
    async with digitwin_db.transaction(), asyncio.timeout(5):
        await cache.forget_user(ADA)
        assert await cache.searches.get_or_create("key", quick, user_id=ADA) == "made"
    assert await cache.searches.get("key", user_id=ADA) is None


@pytest.mark.parametrize("store", TABLES)
async def test_old_marks_are_cleared_away(
    cache: CacheRepository, raw: asyncpg.Connection, store: str
) -> None:
    await getattr(cache, store).invalidate(tag="young")
    await getattr(cache, store).invalidate(tag="old")
    await raw.execute(
        "UPDATE cache_invalidations SET created_at = now() - make_interval(secs => $1)"
        " WHERE name = 'old'",
        invalidation.RETENTION + 1,
    )
    await cache.purge_expired()
    assert [row["name"] for row in await raw.fetch("SELECT name FROM cache_invalidations")] == [
        "young"
    ]


ONE = ["set", "get", "delete"]
MANY = ["set_many", "many", "delete_many", "keys"]
FORGETTING = ["tag", "person", "both", "all"]


@st.composite
def deeds(draw: st.DrawFn) -> tuple[Any, ...]:
    kind = draw(st.sampled_from(ONE + MANY + FORGETTING))
    person, audience = draw(st.sampled_from([None, ADA, BOB])), draw(st.sampled_from("ov"))
    key, tags = draw(st.sampled_from("ab")), draw(st.sets(st.sampled_from("xy")))
    return kind, person, {"o": "owner", "v": "visitor"}[audience], key, tags


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=st.lists(deeds(), max_size=30))
async def test_any_history_leaves_what_a_dictionary_would_hold(
    cache: CacheRepository, history: list[tuple[Any, ...]]
) -> None:
    store = cache.responses
    await store.invalidate()
    model: dict[EntryKey, tuple[int, set[str]]] = {}
    for n, (kind, person, audience, key, tags) in enumerate(history):
        entry_key = EntryKey(person or NOBODY, audience, key)
        scope = {"user_id": person, "audience": audience}
        if kind == "set":
            await store.set(key, n, tags=tags, **scope)
            model[entry_key] = n, tags
        elif kind == "get":
            assert await store.get(key, **scope) == model.get(entry_key, (None,))[0]
        elif kind == "many":
            there = [k for k in "ab" if entry_key._replace(key=k) in model]
            assert await store.get_many(["a", "b"], **scope) == {
                k: model[entry_key._replace(key=k)][0] for k in there
            }
        elif kind == "set_many":
            await store.set_many({"a": n, "b": -n}, tags=tags, **scope)
            model[entry_key._replace(key="a")] = n, tags
            model[entry_key._replace(key="b")] = -n, tags
        elif kind == "delete_many":
            gone = {at for at in model if at[:2] == entry_key[:2]}
            assert await store.delete_many(["b", "a"], **scope) == len(gone)
            model = {at: held for at, held in model.items() if at not in gone}
        elif kind == "keys":
            there = [k for k in "ab" if entry_key._replace(key=k) in model]
            assert (await store.keys(**scope)).items == there
        elif kind == "delete":
            assert await store.delete(key, **scope) == (model.pop(entry_key, None) is not None)
        else:
            chosen = {
                "tag": {"tag": "x"},
                "person": {"user_id": person or ADA},
                "both": {"tag": "x", "user_id": person or ADA},
                "all": {},
            }[kind]
            gone = {
                at
                for at, (_, labels) in model.items()
                if chosen.get("user_id", at.user_id) == at.user_id
                and ("tag" not in chosen or "x" in labels)
            }
            assert await store.invalidate(**chosen) == len(gone)
            model = {at: held for at, held in model.items() if at not in gone}
