"""A token bucket in Python, for the object mappers: read, reckon, write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from benchmarks.operations import LIMIT, TTL, WINDOW


def refilled(tokens: float, since: datetime) -> tuple[float, datetime]:
    """What a bucket holds now, and now."""
    now = datetime.now(UTC)
    passed = max(0.0, (now - since).total_seconds())
    return min(LIMIT, tokens + LIMIT / WINDOW * passed), now


def end_of_life() -> datetime:
    """When what is cached now is to be forgotten."""
    return datetime.now(UTC) + timedelta(seconds=TTL)
