"""Timing of calls, for the demo, the load test and the benchmarks."""

from __future__ import annotations

import time
from array import array
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Times:
    """Latency percentiles in milliseconds, by nearest rank."""

    count: int
    p50: float
    p95: float
    p99: float


def summarize(seconds: Iterable[float]) -> Times:
    """Summarize the durations of calls.

    Raises:
        IndexError: ``seconds`` is empty.
    """
    ordered = sorted(seconds)

    def percentile(percent: int) -> float:
        return ordered[-(-len(ordered) * percent // 100) - 1] * 1000

    return Times(len(ordered), percentile(50), percentile(95), percentile(99))


async def timed(work: Awaitable[T]) -> tuple[T, float]:
    """Await a call; return its result and the seconds it took."""
    began = time.perf_counter()
    result = await work
    return result, time.perf_counter() - began


class Stopwatch:
    """Times calls by step name; stores eight bytes per call."""

    def __init__(self) -> None:
        self._seconds: dict[str, array[float]] = {}

    async def time(self, step: str, work: Awaitable[T]) -> T:
        """Await a call and return its result; a call that raises is not counted."""
        result, seconds = await timed(work)
        self.add(step, seconds)
        return result

    def add(self, step: str, seconds: float) -> None:
        """Add a call that was timed elsewhere."""
        self._seconds.setdefault(step, array("d")).append(seconds)

    def times(self) -> dict[str, Times]:
        """Return the percentiles of each step, in the order of first calls."""
        return {step: summarize(seconds) for step, seconds in self._seconds.items()}
