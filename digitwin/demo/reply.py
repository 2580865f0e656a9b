"""What the database takes of a reply that must begin within 200 ms."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median, quantiles

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
        await _play(reply)
    rounds = [await _play(reply) for _ in range(ROUNDS)]
    parts = tuple(
        Part(name, purpose, *_summary(list(times)))
        for (name, purpose), times in zip(reply, zip(*rounds, strict=True), strict=True)
    )
    return Share(parts, *_summary([sum(times) for times in rounds]))


async def _play(reply: Reply) -> list[float]:
    times = []
    for call in reply.values():
        started = time.perf_counter()
        await call()
        times.append((time.perf_counter() - started) * 1000)
    return times


def _summary(times: list[float]) -> tuple[float, float]:
    return median(times), quantiles(times, n=20)[-1]
