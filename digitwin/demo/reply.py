"""Measures the database's share of a reply with a 200 ms budget."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from digitwin.timing import Stopwatch, summarize, timed

BUDGET = 200.0
"""Milliseconds from the end of a question to the first sound of the reply."""

ROUNDS = 40
WARM_UP = 5


@dataclass(frozen=True, slots=True)
class Part:
    """Latency of one call of a reply, over all rounds."""

    name: str
    purpose: str
    median: float
    p95: float


@dataclass(frozen=True, slots=True)
class Share:
    """Latencies of a reply and its calls, in milliseconds."""

    parts: tuple[Part, ...]
    median: float
    p95: float
    budget: float = BUDGET


Reply = dict[tuple[str, str], Callable[[], Awaitable[object]]]
"""The calls of a reply in order, by name and purpose."""


async def measure(reply: Reply) -> Share:
    """Measure a reply: its calls run one after the other, for several rounds."""
    for _ in range(WARM_UP):
        await _play(reply, Stopwatch())
    watch = Stopwatch()
    whole = summarize([await _play(reply, watch) for _ in range(ROUNDS)])
    times = watch.times()
    parts = (Part(name, why, times[name].p50, times[name].p95) for name, why in reply)
    return Share(tuple(parts), whole.p50, whole.p95)


async def _play(reply: Reply, watch: Stopwatch) -> float:
    """Run all calls and return their total seconds."""
    total = 0.0
    for (name, _), call in reply.items():
        _, seconds = await timed(call())
        watch.add(name, seconds)
        total += seconds
    return total
