"""What a process remembers is what it last read, or nothing."""

from __future__ import annotations

import asyncio
import sys
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from digitwin.cache import invalidation
from digitwin.cache.fields import Place
from digitwin.cache.local_cache import OVERHEAD, Memory
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


def trusted(clock: Clock, entries: int = 100, size: int = 1_000_000) -> Memory:
    memory = Memory(entries, size)
    memory._clock = clock
    memory.trusted_until = float("inf")
    return memory


@pytest.fixture
async def memory(clock: Clock) -> Memory:
    return trusted(clock)


def at(key: str, user_id: UUID = NOBODY, audience: str = "owner") -> Place:
    return Place(user_id, audience, key)


def read(
    memory: Memory,
    place: Place,
    stored: str = "x",
    *,
    tags: Any = (),
    lives: float = 60.0,
    store: str = "responses",
) -> None:
    """Read it twice: what is read once is not remembered."""
    for _ in range(2):
        memory.keep(memory.reading(store), place, stored, tags, lives)


def held(memory: Memory, *keys: str) -> list[str]:
    return [key for key in keys if memory.get("responses", at(key)) is not None]


async def test_what_was_read_twice_is_remembered(memory: Memory) -> None:
    memory.keep(memory.reading("responses"), at("key"), "x", [], 60)
    assert held(memory, "key") == []
    memory.keep(memory.reading("responses"), at("key"), "x", [], 60)
    assert memory.get("responses", at("key")) == "x"


async def test_whose_it_is_and_who_may_see_it_are_part_of_the_place(memory: Memory) -> None:
    read(memory, at("key", ADA))
    assert memory.get("responses", at("key", ADA)) == "x"
    assert memory.get("responses", at("key", BOB)) is None
    assert memory.get("responses", at("key")) is None
    assert memory.get("responses", at("key", ADA, "visitor")) is None
    assert memory.get("searches", at("key", ADA)) is None


async def test_it_never_lives_longer_than_when_the_reading_began(
    memory: Memory, clock: Clock
) -> None:
    memory.keep(memory.reading("responses"), at("key"), "x", [], 10)
    reading = memory.reading("responses")
    clock.now += 4
    memory.keep(reading, at("key"), "x", [], 10)
    clock.now += 5.9
    assert held(memory, "key") == ["key"]
    clock.now += 0.1
    assert held(memory, "key") == []
    assert (len(memory), memory.bytes) == (0, 0)


async def test_the_least_recently_used_goes_first(clock: Clock) -> None:
    memory = trusted(clock, entries=3)
    for key in "abc":
        read(memory, at(key))
    memory.get("responses", at("a"))
    read(memory, at("d"))
    assert held(memory, *"abcd") == ["a", "c", "d"]


async def test_bytes_are_bounded_too(clock: Clock) -> None:
    memory = trusted(clock, size=3 * TINY)
    for key in "abcd":
        read(memory, at(key))
    assert held(memory, *"abcd") == ["b", "c", "d"]
    assert memory.bytes == 3 * TINY


async def test_what_has_no_room_at_all_takes_nobody_elses(clock: Clock) -> None:
    memory = trusted(clock, size=3 * TINY)
    read(memory, at("a"))
    read(memory, at("large"), "x" * 3 * TINY)
    assert held(memory, "a", "large") == ["a"]


async def test_a_value_read_anew_takes_the_place_of_the_old_one(memory: Memory) -> None:
    read(memory, at("key"), "old", tags=["a"])
    read(memory, at("key"), "x")
    assert memory.get("responses", at("key")) == "x"
    assert (len(memory), memory.bytes) == (1, TINY)


@pytest.mark.parametrize(
    ("target", "gone"),
    [
        (invalidation.everything("responses"), "abc"),
        (invalidation.person("responses", ADA), "a"),
        (invalidation.tagged("responses", "news"), "bc"),
        (invalidation.entry("responses", at("b")), "b"),
        (invalidation.everything("searches"), ""),
    ],
)
async def test_what_is_forgotten_is_gone_and_the_rest_stays(
    memory: Memory, target: invalidation.Target, gone: str
) -> None:
    places = {"a": at("a", ADA), "b": at("b"), "c": at("c")}
    for key, place in places.items():
        read(memory, place, tags=["news"] if key in "bc" else [])
    memory.forget(target)
    left = {key for key, place in places.items() if memory.get("responses", place) is not None}
    assert left == {*"abc"} - {*gone}


@pytest.mark.parametrize("how", ["entry", "target", "clear"])
async def test_a_reading_that_began_before_is_not_remembered_after(
    memory: Memory, how: str
) -> None:
    read(memory, at("key"), "old")
    reading = memory.reading("responses")
    if how == "entry":
        memory.forget_entry("responses", at("key"))
    elif how == "target":
        memory.forget(invalidation.tagged("responses", "any"))
    else:
        memory.clear()
    memory.keep(reading, at("key"), "old", [], 60)
    assert memory.get("responses", at("key")) is None or how == "target"
    reading = memory.reading("responses")
    memory.keep(reading, at("key"), "new", [], 60)
    assert memory.get("responses", at("key")) == "new"


async def test_without_trust_nothing_is_given_nor_kept_and_somebody_is_asked_for(
    memory: Memory, clock: Clock
) -> None:
    asked: list[str] = []
    memory.wanted = lambda: asked.append("for trust")
    read(memory, at("old"))
    memory.trusted_until = clock.now
    assert held(memory, "old") == []
    assert asked == []
    read(memory, at("new"))
    assert asked == ["for trust"]
    memory.trusted_until = clock.now + 1
    assert held(memory, "old", "new") == ["old"]


@pytest.mark.parametrize(("entries", "size"), [(0, 1000), (1000, 0)])
async def test_it_can_be_off(entries: int, size: int) -> None:
    memory = Memory(entries, size)
    memory.trusted_until = float("inf")
    read(memory, at("key"))
    assert (memory.on, held(memory, "key"), len(memory._read_once)) == (False, [], 0)


async def test_handles_of_one_loop_forget_together(clock: Clock) -> None:
    one, two = trusted(clock), trusted(clock)
    for memory in (one, two):
        read(memory, at("a"))
        read(memory, at("b"), tags=["news"])
    one.forget_entry("responses", at("a"))
    one.forget(invalidation.tagged("responses", "news"))
    assert held(two, "a", "b") == []


async def test_another_loops_handle_is_left_alone(memory: Memory, clock: Clock) -> None:
    """It runs in another thread, and hears from the database."""
    read(memory, at("key"))

    async def elsewhere() -> None:
        trusted(clock).forget_entry("responses", at("key"))

    await asyncio.to_thread(asyncio.run, elsewhere())
    assert held(memory, "key") == ["key"]


async def test_what_was_read_once_is_not_remembered_without_end(clock: Clock) -> None:
    memory = trusted(clock, entries=10)
    for n in range(1000):
        memory.keep(memory.reading("responses"), at(str(n)), "x", [], 60)
    assert len(memory._read_once) <= 10


KEYS = [at(key, user) for key in "ab" for user in (ADA, BOB)]


@st.composite
def deeds(draw: st.DrawFn) -> tuple[str, Place, str]:
    kinds = ["begin", "end", "end", "write", "tag", "person", "all", "clear", "wait"]
    return draw(st.sampled_from(kinds)), draw(st.sampled_from(KEYS)), draw(st.sampled_from("tu"))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(deeds(), max_size=60))
async def test_in_any_history_it_holds_what_the_database_holds_or_nothing(
    clock: Clock, history: list[tuple[str, Place, str]]
) -> None:
    """Readings see what was there when they began, and end whenever they like."""
    memory, table = trusted(clock, entries=3), {}
    readings: list[tuple[Any, Place, Any]] = []
    for n, (kind, place, tag) in enumerate(history):
        if kind == "begin":
            readings.append((memory.reading("responses"), place, table.get(place)))
        elif kind == "end" and readings:
            reading, was_read, row = readings.pop(0)
            if row is not None:
                memory.keep(reading, was_read, row[0], [row[1]], row[2] - reading.began)
        elif kind == "write":
            table[place] = str(n), tag, clock.now + 10
            memory.forget_entry("responses", place)
        elif kind == "tag":
            table = {at: row for at, row in table.items() if row[1] != tag}
            memory.forget(invalidation.tagged("responses", tag))
        elif kind == "person":
            table = {at: row for at, row in table.items() if at.user_id != place.user_id}
            memory.forget(invalidation.person("responses", place.user_id))
        elif kind == "all":
            table.clear()
            memory.forget(invalidation.everything("responses"))
        elif kind == "clear":
            memory.clear()
        elif kind == "wait":
            clock.now += 4
            table = {at: row for at, row in table.items() if row[2] > clock.now}
        for place in KEYS:
            assert memory.get("responses", place) in {None, table.get(place, (None,))[0]}
    assert memory.bytes == sum(held.size for held in memory._held.values())
    assert {spot for spots in memory._spots.values() for spot in spots} == set(memory._held)
