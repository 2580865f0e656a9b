"""The database's time, without asking it.

Events are given their time when they happen, which may be long before they can be written. The
clock of this machine may be wrong, or be set while a call goes on: the time is one that the
database told, and what has passed since by a clock that is never set. It is never ahead of the
database's: a turn that begins by it would begin after it was stored.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final

MAX_WAIT: Final = 0.1
"""Seconds that a question may take for its answer to be exact: the clock is behind by no more."""
MAX_ERROR: Final = timedelta(seconds=0.5)
"""A larger difference means that the database's clock was set. Smaller ones are ignored: events
that follow each other would seem to go back."""


class DatabaseClock:
    """Tells the database's time; this machine's, until the database has told it."""

    def __init__(self) -> None:
        self._told: tuple[datetime, float] | None = None
        self._is_exact = False

    def told(self, moment: datetime, asked: float) -> None:
        """Note the database's time, asked for at ``asked`` by ``time.monotonic``."""
        now = time.monotonic()
        is_exact = now - asked <= MAX_WAIT
        told = moment, now
        if self._told is None:
            self._told, self._is_exact = told, is_exact
        elif is_exact and (not self._is_exact or abs(_at(told, now) - self.now()) > MAX_ERROR):
            self._told, self._is_exact = told, True

    def now(self) -> datetime:
        """Return the time, in UTC."""
        if self._told is None:
            return datetime.now(UTC)
        return _at(self._told, time.monotonic())


def _at(told: tuple[datetime, float], now: float) -> datetime:
    moment, when = told
    return moment + timedelta(seconds=now - when)
