"""Interleaved rounds: every peer in turn, then again, so that a machine's drift affects all."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from benchmarks.filling import Size
from benchmarks.operations import Arguments, Operation
from benchmarks.peers.base import Peer, Place
from benchmarks.results import Figures, Row
from digitwin.timing import Stopwatch

Call = Callable[..., Awaitable[Any]]

CALLERS = 32
"""Tasks of one process that call at once."""


@dataclass(frozen=True)
class Pace:
    """How long it takes.

    Args:
        rounds: turns of each peer.
        alone: seconds of a turn with one caller.
        together: seconds of a turn with many; with 0 there is none.
        warm: seconds before the first turn.
    """

    rounds: int
    alone: float
    together: float
    warm: float


THOROUGH = Pace(rounds=10, alone=0.06, together=0.09, warm=0.08)
BRIEF = Pace(rounds=5, alone=0.05, together=0.05, warm=0.05)
QUICK = Pace(rounds=4, alone=0.04, together=0.04, warm=0.04)


@dataclass(frozen=True)
class Contestant:
    """A peer at a place, under the name of its figures."""

    name: str
    kind: type[Peer]
    place: Place
    size: Size

    def takes_part(self, operation: Operation) -> bool:
        """Whether it offers the operation here."""
        reachable = self.place.redis is not None or not self.kind.on_redis
        return reachable and hasattr(self.kind, operation.name)


@dataclass(frozen=True)
class Ready:
    """A peer that is connected, checked and warm."""

    name: str
    call: Call
    arguments: Sequence[Arguments]


async def measure(operation: Operation, contestants: Sequence[Contestant], pace: Pace) -> Row:
    """Measure one operation of every peer that offers it, in interleaved rounds."""
    watch, rates = Stopwatch(), defaultdict[str, list[float]](list)
    async with AsyncExitStack() as stack:
        ready = [
            await _ready(stack, each, operation, pace)
            for each in contestants
            if each.takes_part(operation)
        ]
        gc.collect()
        gc.freeze()
        for n in range(pace.rounds if ready else 0):
            first = n % len(ready)
            turns = ready[first:] + ready[:first]
            # a peer's garbage is collected before the next one's turn, not in it
            for each in turns:
                gc.collect()
                await _alone(each, pace.alone, watch)
            for each in turns if pace.together else ():
                gc.collect()
                rates[each.name].append(await _together(each, pace.together))
        gc.unfreeze()
    return _row([each.name for each in ready], watch, rates)


def _row(names: Sequence[str], watch: Stopwatch, rates: dict[str, list[float]]) -> Row:
    times = watch.times()
    floor = times.get("floor")
    return {
        name: Figures(
            median=times[name].p50 * 1000,
            p99=times[name].p99 * 1000,
            rate=statistics.median(rates[name] or [0]),
            ratio=None if floor is None else times[name].p50 / floor.p50,
            calls=times[name].count,
        )
        for name in names
    }


async def _ready(
    stack: AsyncExitStack, contestant: Contestant, operation: Operation, pace: Pace
) -> Ready:
    peer = contestant.kind(contestant.place)
    stack.push_async_callback(peer.close)
    await peer.open()
    arguments = operation.arguments(contestant.size)
    await peer.prepare(operation.name, arguments)
    ready = Ready(contestant.name, getattr(peer, operation.name), arguments)
    if not operation.proof(await ready.call(*arguments[0]), arguments[0]):
        raise AssertionError(f"{contestant.name} does not do the work of {operation.title}")
    await _alone(ready, pace.warm, Stopwatch())
    await _together(ready, pace.warm)
    return ready


async def _alone(peer: Ready, seconds: float, watch: Stopwatch) -> None:
    """Time the calls of one caller."""
    end = time.perf_counter() + seconds
    for arguments in cycle(peer.arguments):
        if time.perf_counter() >= end:
            break
        await watch.time(peer.name, peer.call(*arguments))


async def _together(peer: Ready, seconds: float) -> float:
    """Return the calls a second of many callers."""
    turns, done, clock = cycle(peer.arguments), 0, time.perf_counter
    began = clock()
    end = began + seconds

    async def ask() -> None:
        nonlocal done
        while clock() < end:
            await peer.call(*next(turns))
            done += 1

    await asyncio.gather(*(ask() for _ in range(CALLERS)))
    return done / (clock() - began)
