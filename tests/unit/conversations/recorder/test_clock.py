"""The database's time, as a recorder tells it without asking."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from digitwin.conversations.recorder import clock as module
from digitwin.conversations.recorder.clock import DatabaseClock

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Time:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Time:
    passing = Time()
    monkeypatch.setattr(module, "time", passing)
    return passing


def test_it_starts_with_this_machines_time() -> None:
    assert abs(DatabaseClock().now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_it_goes_on_from_what_it_was_told(passing: Time) -> None:
    clock = DatabaseClock()
    clock.told(NOON, asked=passing.seconds)
    passing.seconds += 7.5
    assert clock.now() == NOON + timedelta(seconds=7.5)


def test_it_is_never_ahead_of_the_database(passing: Time) -> None:
    """The answer may have been given at any moment since the question was asked."""
    clock = DatabaseClock()
    passing.seconds += 0.1
    clock.told(NOON, asked=100.0)
    assert clock.now() == NOON


def test_small_differences_do_not_set_it_back(passing: Time) -> None:
    clock = DatabaseClock()
    clock.told(NOON, asked=passing.seconds)
    passing.seconds += 1
    clock.told(NOON + timedelta(seconds=0.9), asked=passing.seconds)
    assert clock.now() == NOON + timedelta(seconds=1)


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_database_whose_clock_was_set_is_followed(passing: Time, hours: int) -> None:
    clock = DatabaseClock()
    clock.told(NOON, asked=passing.seconds)
    clock.told(NOON + timedelta(hours=hours), asked=passing.seconds)
    assert clock.now() == NOON + timedelta(hours=hours)


def test_a_slow_answer_counts_until_a_quick_one_comes(passing: Time) -> None:
    clock = DatabaseClock()
    passing.seconds += 3
    clock.told(NOON, asked=100.0)
    quick = NOON + timedelta(seconds=0.2)
    clock.told(quick, asked=passing.seconds)
    assert clock.now() == quick
    passing.seconds += 3
    clock.told(NOON + timedelta(hours=1), asked=passing.seconds - 3)
    assert clock.now() == quick + timedelta(seconds=3)
