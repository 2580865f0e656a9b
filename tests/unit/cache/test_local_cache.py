"""What a process remembers is what it last read, or nothing."""

from __future__ import annotations

import asyncio
import sys
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from digitwin.cache import invalidation
from digitwin.cache.fields import EntryKey
from digitwin.cache.local_cache import OVERHEAD, LocalCache
from digitwin.kernel.primitives.ids import NOBODY

ADA, BOB = UUID(int=0xADA), UUID(int=0xB0B)
TINY = OVERHEAD + sys.getsizeof("x")
"""Bytes a value of one letter takes."""


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def trusted(clock: Clock, entries: int = 100, size: int = 1_000_000) -> LocalCache:
    local = LocalCache(entries, size)
    local._clock = clock
    local.trusted_until = float("inf")
    return local


@pytest.fixture
async def local(clock: Clock) -> LocalCache:
    return trusted(clock)


def at(key: str, user_id: UUID = NOBODY, audience: str = "owner") -> EntryKey:
    return EntryKey(user_id, audience, key)


def read(
    local: LocalCache,
    entry_key: EntryKey,
    stored: str = "x",
    *,
    tags: Any = (),
    lives: float = 60.0,
    store: str = "responses",
) -> None:
    """Read it twice: what is read once is not remembered."""
    for _ in range(2):
        local.remember(local.begin_read(store), entry_key, stored, tags, lives)


def held(local: LocalCache, *keys: str) -> list[str]:
    return [key for key in keys if local.get("responses", at(key)) is not None]


async def test_what_was_read_twice_is_remembered(local: LocalCache) -> None:
    local.remember(local.begin_read("responses"), at("key"), "x", [], 60)
    assert held(local, "key") == []
    local.remember(local.begin_read("responses"), at("key"), "x", [], 60)
    assert local.get("responses", at("key")) == "x"


async def test_whose_it_is_and_who_may_see_it_are_part_of_the_place(local: LocalCache) -> None:
    read(local, at("key", ADA))
    assert local.get("responses", at("key", ADA)) == "x"
    assert local.get("responses", at("key", BOB)) is None
    assert local.get("responses", at("key")) is None
    assert local.get("responses", at("key", ADA, "visitor")) is None
    assert local.get("searches", at("key", ADA)) is None


async def test_it_never_lives_longer_than_when_the_reading_began(
    local: LocalCache, clock: Clock
) -> None:
    local.remember(local.begin_read("responses"), at("key"), "x", [], 10)
    begun = local.begin_read("responses")
    clock.now += 4
    local.remember(begun, at("key"), "x", [], 10)
    clock.now += 5.9
    assert held(local, "key") == ["key"]
    clock.now += 0.1
    assert held(local, "key") == []
    assert (len(local), local.bytes) == (0, 0)


async def test_the_least_recently_used_goes_first(clock: Clock) -> None:
    local = trusted(clock, entries=3)
    for key in "abc":
        read(local, at(key))
    local.get("responses", at("a"))
    read(local, at("d"))
    assert held(local, *"abcd") == ["a", "c", "d"]


async def test_bytes_are_bounded_too(clock: Clock) -> None:
    local = trusted(clock, size=3 * TINY)
    for key in "abcd":
        read(local, at(key))
    assert held(local, *"abcd") == ["b", "c", "d"]
    assert local.bytes == 3 * TINY


async def test_what_has_no_room_at_all_takes_nobody_elses(clock: Clock) -> None:
    local = trusted(clock, size=3 * TINY)
    read(local, at("a"))
    read(local, at("large"), "x" * 3 * TINY)
    assert held(local, "a", "large") == ["a"]


async def test_a_value_read_anew_takes_the_place_of_the_old_one(local: LocalCache) -> None:
    read(local, at("key"), "old", tags=["a"])
    read(local, at("key"), "x")
    assert local.get("responses", at("key")) == "x"
    assert (len(local), local.bytes) == (1, TINY)


@pytest.mark.parametrize(
    ("target", "gone"),
    [
        (invalidation.store_target("responses"), "abc"),
        (invalidation.person_target("responses", ADA), "a"),
        (invalidation.tag_target("responses", "news"), "bc"),
        (invalidation.entry_target("responses", at("b")), "b"),
        (invalidation.store_target("searches"), ""),
    ],
)
async def test_what_is_forgotten_is_gone_and_the_rest_stays(
    local: LocalCache, target: invalidation.InvalidationTarget, gone: str
) -> None:
    places = {"a": at("a", ADA), "b": at("b"), "c": at("c")}
    for key, entry_key in places.items():
        read(local, entry_key, tags=["news"] if key in "bc" else [])
    local.invalidate(target)
    left = {
        key for key, entry_key in places.items() if local.get("responses", entry_key) is not None
    }
    assert left == {*"abc"} - {*gone}


@pytest.mark.parametrize("how", ["entry", "target", "clear"])
async def test_a_reading_that_began_before_is_not_remembered_after(
    local: LocalCache, how: str
) -> None:
    read(local, at("key"), "old")
    begun = local.begin_read("responses")
    if how == "entry":
        local.invalidate_entry("responses", at("key"))
    elif how == "target":
        local.invalidate(invalidation.tag_target("responses", "any"))
    else:
        local.clear()
    local.remember(begun, at("key"), "old", [], 60)
    assert local.get("responses", at("key")) is None or how == "target"
    begun = local.begin_read("responses")
    local.remember(begun, at("key"), "new", [], 60)
    assert local.get("responses", at("key")) == "new"


async def test_without_trust_nothing_is_given_nor_kept_and_somebody_is_asked_for(
    local: LocalCache, clock: Clock
) -> None:
    asked: list[str] = []
    local.start_listener = lambda: asked.append("for trust")
    read(local, at("old"))
    local.trusted_until = clock.now
    assert held(local, "old") == []
    assert asked == []
    read(local, at("new"))
    assert asked == ["for trust"]
    local.trusted_until = clock.now + 1
    assert held(local, "old", "new") == ["old"]


@pytest.mark.parametrize(("entries", "size"), [(0, 1000), (1000, 0)])
async def test_it_can_be_off(entries: int, size: int) -> None:
    local = LocalCache(entries, size)
    local.trusted_until = float("inf")
    read(local, at("key"))
    assert (local.on, held(local, "key"), len(local._read_once)) == (False, [], 0)


async def test_handles_of_one_loop_forget_together(clock: Clock) -> None:
    one, two = trusted(clock), trusted(clock)
    for local in (one, two):
        read(local, at("a"))
        read(local, at("b"), tags=["news"])
    one.invalidate_entry("responses", at("a"))
    one.invalidate(invalidation.tag_target("responses", "news"))
    assert held(two, "a", "b") == []


async def test_another_loops_handle_is_left_alone(local: LocalCache, clock: Clock) -> None:
    """It runs in another thread, and hears from the database."""
    read(local, at("key"))

    async def elsewhere() -> None:
        trusted(clock).invalidate_entry("responses", at("key"))

    await asyncio.to_thread(asyncio.run, elsewhere())
    assert held(local, "key") == ["key"]


async def test_what_was_read_once_is_not_remembered_without_end(clock: Clock) -> None:
    local = trusted(clock, entries=10)
    for n in range(1000):
        local.remember(local.begin_read("responses"), at(str(n)), "x", [], 60)
    assert len(local._read_once) <= 10


KEYS = [at(key, user) for key in "ab" for user in (ADA, BOB)]


@st.composite
def deeds(draw: st.DrawFn) -> tuple[str, EntryKey, str]:
    kinds = ["begin", "end", "end", "write", "tag", "person", "all", "clear", "wait"]
    return draw(st.sampled_from(kinds)), draw(st.sampled_from(KEYS)), draw(st.sampled_from("tu"))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(deeds(), max_size=60))
async def test_in_any_history_it_holds_what_the_database_holds_or_nothing(
    clock: Clock, history: list[tuple[str, EntryKey, str]]
) -> None:
    """Readings see what was there when they began, and end whenever they like."""
    local, table = trusted(clock, entries=3), {}
    readings: list[tuple[Any, EntryKey, Any]] = []
    for n, (kind, entry_key, tag) in enumerate(history):
        if kind == "begin":
            readings.append((local.begin_read("responses"), entry_key, table.get(entry_key)))
        elif kind == "end" and readings:
            read, was_read, row = readings.pop(0)
            if row is not None:
                local.remember(read, was_read, row[0], [row[1]], row[2] - read.began)
        elif kind == "write":
            table[entry_key] = str(n), tag, clock.now + 10
            local.invalidate_entry("responses", entry_key)
        elif kind == "tag":
            table = {at: row for at, row in table.items() if row[1] != tag}
            local.invalidate(invalidation.tag_target("responses", tag))
        elif kind == "person":
            table = {at: row for at, row in table.items() if at.user_id != entry_key.user_id}
            local.invalidate(invalidation.person_target("responses", entry_key.user_id))
        elif kind == "all":
            table.clear()
            local.invalidate(invalidation.store_target("responses"))
        elif kind == "clear":
            local.clear()
        elif kind == "wait":
            clock.now += 4
            table = {at: row for at, row in table.items() if row[2] > clock.now}
        for entry_key in KEYS:
            assert local.get("responses", entry_key) in {None, table.get(entry_key, (None,))[0]}
    assert local.bytes == sum(held.size for held in local._held.values())
    assert {local_key for keys in local._keys_by_target.values() for local_key in keys} == set(
        local._held
    )
