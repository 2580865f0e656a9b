"""Percentiles are times that were measured, by nearest rank."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given, strategies as st

from digitwin.replaying import StepTimes, Stopwatch


def times(*milliseconds: float) -> StepTimes:
    return Stopwatch({"step": array("d", [ms / 1000 for ms in milliseconds])}).times()["step"]


def test_a_hundred_times_have_the_percentiles_one_expects() -> None:
    found = times(*range(100, 0, -1))
    assert (found.count, found.p50, found.p95, found.p99) == pytest.approx((100, 50, 95, 99))


def test_a_single_time_is_every_percentile() -> None:
    assert times(7) == StepTimes(1, 7, 7, 7)


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_at_least_its_percentage_of_times_is_within_a_percentile(milliseconds: list[float]) -> None:
    found = times(*milliseconds)
    for percent, bound in ((50, found.p50), (95, found.p95), (99, found.p99)):
        within = sum(ms / 1000 * 1000 <= bound for ms in milliseconds)
        assert within * 100 >= percent * len(milliseconds)


def test_steps_are_kept_apart_and_a_failed_one_is_not_counted() -> None:
    watch = Stopwatch()
    for name in ("one", "two", "one"):
        with watch.step(name):
            pass
    with pytest.raises(LookupError), watch.step("one"):
        raise LookupError
    assert {name: step.count for name, step in watch.times().items()} == {"one": 2, "two": 1}
