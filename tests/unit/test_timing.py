"""Percentiles are times that were measured, by nearest rank."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from digitwin.timing import Stopwatch, Times, summarize, timed


async def answer() -> int:
    return 7


async def failing() -> None:
    raise LookupError


def test_a_hundred_times_have_the_percentiles_one_expects() -> None:
    found = summarize(ms / 1000 for ms in range(100, 0, -1))
    assert (found.count, found.p50, found.p95, found.p99) == pytest.approx((100, 50, 95, 99))


def test_a_single_time_is_every_percentile() -> None:
    assert summarize([0.5]) == Times(1, 500, 500, 500)


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_at_least_its_percentage_of_times_is_within_a_percentile(seconds: list[float]) -> None:
    found = summarize(seconds)
    for percent, bound in ((50, found.p50), (95, found.p95), (99, found.p99)):
        within = sum(each * 1000 <= bound for each in seconds)
        assert within * 100 >= percent * len(seconds)


async def test_a_timed_call_returns_its_result_and_its_duration() -> None:
    result, seconds = await timed(answer())
    assert result == 7
    assert seconds >= 0


async def test_steps_are_kept_apart() -> None:
    watch = Stopwatch()
    assert await watch.time("one", answer()) == 7
    watch.add("two", 0.25)
    await watch.time("one", answer())
    assert {step: times.count for step, times in watch.times().items()} == {"one": 2, "two": 1}
    assert watch.times()["two"].p50 == 250


async def test_a_call_that_raises_is_not_counted() -> None:
    watch = Stopwatch()
    with pytest.raises(LookupError):
        await watch.time("one", failing())
    assert watch.times() == {}
