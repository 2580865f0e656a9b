"""Interleaved rounds: every peer in turn, then again, so that a machine's drift hits all alike."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from benchmarks.filling import Size
from benchmarks.operations import Arguments, Operation
from benchmarks.peers import statements
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


@dataclass
class Measured:
    """What one peer needed for one operation."""

    latencies: list[int] = field(default_factory=list)
    """Nanoseconds of single calls with one caller."""
    rates: list[float] = field(default_factory=list)
    """Calls a second with many, one figure a round."""


@dataclass(frozen=True)
class Contestant:
    """A peer at a place, under the name by which it is told apart."""

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


async def measure(
    operation: Operation, contestants: Sequence[Contestant], pace: Pace
) -> dict[str, Measured]:
    """One operation by everybody who offers it, in interleaved rounds."""
    async with AsyncExitStack() as stack:
        ready = [
            await _ready(stack, each, operation, pace)
            for each in contestants
            if each.takes_part(operation)
        ]
        await _check_the_floor(operation, contestants)
        measured = {each.name: Measured() for each in ready}
        gc.collect()
        gc.freeze()
        for n in range(pace.rounds):
            await _round(_rotated(ready, n), measured, pace)
        gc.unfreeze()
    return measured


async def _round(turns: Sequence[Ready], measured: Mapping[str, Measured], pace: Pace) -> None:
    """Everybody alone, then everybody with many callers; no one sweeps another's garbage."""
    for each in turns:
        gc.collect()
        measured[each.name].latencies += await alone(each.call, each.arguments, pace.alone)
    if not pace.together:
        return
    for each in turns:
        gc.collect()
        measured[each.name].rates.append(await together(each.call, each.arguments, pace.together))


async def _ready(
    stack: AsyncExitStack, contestant: Contestant, operation: Operation, pace: Pace
) -> Ready:
    peer = contestant.kind(contestant.place)
    stack.push_async_callback(peer.close)
    await peer.open()
    arguments = operation.arguments(contestant.size)
    await peer.prepare(operation.name, arguments)
    call: Call = getattr(peer, operation.name)
    if not operation.proof(await call(*arguments[0]), arguments[0]):
        raise AssertionError(f"{contestant.name} does not do the work of {operation.title}")
    await alone(call, arguments, pace.warm)
    await together(call, arguments, pace.warm)
    return Ready(contestant.name, call, arguments)


async def _check_the_floor(operation: Operation, contestants: Sequence[Contestant]) -> None:
    """Where both are there, the floor sends what digitwin has sent."""
    if {"digitwin", "floor"} <= {each.name for each in contestants}:
        await statements.check(contestants[0].place, operation.name)


def _rotated(ready: list[Ready], n: int) -> list[Ready]:
    """Another one goes first each time."""
    first = n % len(ready)
    return ready[first:] + ready[:first]


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
