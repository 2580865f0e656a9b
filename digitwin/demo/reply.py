"""What the database takes of a reply that must begin within 200 ms."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from digitwin.timing import Stopwatch, summarize, timed

BUDGET = 200.0
"""Milliseconds from the end of a question to the first sound of the answer."""

ROUNDS = 40
WARM_UP = 5


@dataclass(frozen=True, slots=True)
class Part:
    """One call of a reply, over all its rounds."""

    name: str
    purpose: str
    median: float
    p95: float


@dataclass(frozen=True, slots=True)
class Share:
    """The parts of a reply and what they come to, in milliseconds."""

    parts: tuple[Part, ...]
    median: float
    p95: float
    budget: float = BUDGET


Reply = dict[tuple[str, str], Callable[[], Awaitable[object]]]
"""The calls of a reply in their order, by name and purpose."""


async def measure(reply: Reply) -> Share:
    """Play the reply again and again, one call after the other as a service would."""
    for _ in range(WARM_UP):
        await _play(reply, Stopwatch())
    watch = Stopwatch()
    whole = summarize([await _play(reply, watch) for _ in range(ROUNDS)])
    times = watch.times()
    parts = (Part(name, why, times[name].p50, times[name].p95) for name, why in reply)
    return Share(tuple(parts), whole.p50, whole.p95)


async def _play(reply: Reply, watch: Stopwatch) -> float:
    """Return the seconds that all its calls took together."""
    total = 0.0
    for (name, _), call in reply.items():
        _, seconds = await timed(call())
        watch.add(name, seconds)
        total += seconds
    return total
