"""Interleaved rounds: every peer in turn, then again, so that a machine's drift hits all alike."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from benchmarks.filling import Size
from benchmarks.operations import Arguments, Operation
from benchmarks.peers.base import Peer, Place

Call = Callable[..., Awaitable[Any]]

CALLERS = 32
"""Tasks of one process that ask at once."""


@dataclass(frozen=True)
class Pace:
    """How long it takes.

    Args:
        rounds: turns of each peer.
        alone: seconds of a turn with one caller.
        together: seconds of a turn with many.
        warm: seconds before the first turn.
    """

    rounds: int
    alone: float
    together: float
    warm: float


THOROUGH = Pace(rounds=6, alone=0.1, together=0.12, warm=0.1)
QUICK = Pace(rounds=3, alone=0.06, together=0.06, warm=0.05)


@dataclass
class Measured:
    """What one peer needed for one operation."""

    latencies: list[int] = field(default_factory=list)
    """Nanoseconds of single calls with one caller."""
    rates: list[float] = field(default_factory=list)
    """Calls a second with many, one figure a round."""

    @property
    def median(self) -> float:
        """Microseconds."""
        return statistics.median(self.latencies) / 1000

    @property
    def p99(self) -> float:
        """Microseconds."""
        return sorted(self.latencies)[int(len(self.latencies) * 0.99)] / 1000

    @property
    def rate(self) -> float:
        """Calls a second."""
        return statistics.median(self.rates)


async def measure(
    operation: Operation, peers: Sequence[type[Peer]], place: Place, size: Size, pace: Pace
) -> dict[str, Measured]:
    """One operation by every peer that offers it, in interleaved rounds."""
    arguments = operation.arguments(size)
    async with AsyncExitStack() as stack:
        calls = [
            (kind.name, await _ready(stack, kind, operation, place, arguments, pace))
            for kind in peers
            if hasattr(kind, operation.name)
        ]
        measured = {name: Measured() for name, _ in calls}
        gc.collect()
        gc.freeze()
        for n in range(pace.rounds):
            for name, call in _rotated(calls, n):
                gc.collect()
                measured[name].latencies += await alone(call, arguments, pace.alone)
            for name, call in _rotated(calls, n):
                gc.collect()
                measured[name].rates.append(await together(call, arguments, pace.together))
        gc.unfreeze()
    return measured


async def _ready(
    stack: AsyncExitStack,
    kind: type[Peer],
    operation: Operation,
    place: Place,
    arguments: Sequence[Arguments],
    pace: Pace,
) -> Call:
    """A peer, connected, checked and warm."""
    peer = kind(place)
    stack.push_async_callback(peer.close)
    await peer.open()
    call: Call = getattr(peer, operation.name)
    if not operation.proof(await call(*arguments[0]), arguments[0]):
        raise AssertionError(f"{kind.title} does not do the work of {operation.title}")
    await alone(call, arguments, pace.warm)
    await together(call, arguments, pace.warm)
    return call


def _rotated(calls: list[tuple[str, Call]], n: int) -> list[tuple[str, Call]]:
    """Another one goes first each time."""
    return calls[n % len(calls) :] + calls[: n % len(calls)]


async def alone(call: Call, arguments: Sequence[Arguments], seconds: float) -> list[int]:
    """One caller: nanoseconds of each call."""
    latencies, clock = [], time.perf_counter_ns
    end = clock() + int(seconds * 1e9)
    for given in cycle(arguments):
        begun = clock()
        if begun >= end:
            break
        await call(*given)
        latencies.append(clock() - begun)
    return latencies


async def together(call: Call, arguments: Sequence[Arguments], seconds: float) -> float:
    """Many callers: calls a second."""
    turns, done, clock = cycle(arguments), 0, time.perf_counter
    begun = clock()
    end = begun + seconds

    async def ask() -> None:
        nonlocal done
        while clock() < end:
            await call(*next(turns))
            done += 1

    await asyncio.gather(*(ask() for _ in range(CALLERS)))
    return done / (clock() - begun)
