"""A peer's own process: it connects, does turns as it is told, and measures them by its own clock.

Each peer has a heap of its own: its garbage is collected as it comes, and never in another's turn.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import cycle
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.filling import Size
from benchmarks.operations import ALL
from benchmarks.peers import PEERS
from benchmarks.peers.base import Peer, Place

Call = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one process did in one turn.

    Args:
        latencies: nanoseconds of each call.
        seconds: how long the turn took.
        cpu: seconds of processor time that the process used.
    """

    latencies: list[int]
    seconds: float
    cpu: float


def serve(orders: Connection, name: str, place: Place, size: Size, part: int, uvloop: bool) -> None:
    """Run in the new process: take orders until there are no more.

    An order is the name of an operation to get ready for, answered by whether the peer offers it;
    or a number of callers with seconds, answered by a `Turn`. An exception is the answer in its
    place.
    """
    loop_factory = None
    if uvloop:
        import uvloop as fast

        loop_factory = fast.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_serve(orders, name, place, size, part))


async def _serve(orders: Connection, name: str, place: Place, size: Size, part: int) -> None:
    peer: Peer | None = None
    call: Call | None = None
    try:
        # in a thread, so that no transaction of a background task is left open meanwhile
        while (order := await asyncio.to_thread(orders.recv)) is not None:
            try:
                if isinstance(order, str):
                    if peer is not None:
                        await peer.close()
                    peer = call = None
                    peer, call = await _ready(name, order, place, size, part)
                    answer: Any = call is not None
                else:
                    assert peer is not None
                    assert call is not None
                    callers, seconds = order
                    answer = await turn(call, min(callers, peer.most or callers), seconds)
            except Exception:  # noqa: BLE001
                answer = RuntimeError(f"{name}: {traceback.format_exc()}")
            orders.send(answer)
    finally:
        if peer is not None:
            await peer.close()


async def _ready(
    name: str, wanted: str, place: Place, size: Size, part: int
) -> tuple[Peer | None, Call | None]:
    """Connect for an operation and check that the peer does its work."""
    kind, operation = PEERS[name].load(), ALL[wanted]
    if not hasattr(kind, operation.call):
        return None, None
    peer = kind(replace(place, durable=operation.durable))
    await peer.open()
    arguments = operation.arguments(size, part)
    await peer.prepare(operation.call, arguments)
    if size.small and hasattr(peer, "store"):
        await peer.store(operation.call, arguments)
    method = getattr(peer, operation.call)
    if not operation.proof(await method(*arguments[0]), arguments[0]):
        raise AssertionError(f"it does not do the work of {operation.title}")
    turns = cycle(arguments)
    return peer, lambda: method(*next(turns))


async def turn(call: Call, callers: int, seconds: float) -> Turn:
    """Let so many callers call one after the other, without a pause, for so long."""
    latencies: list[int] = []
    clock = time.perf_counter_ns

    async def ask(start: int, end: int) -> None:
        while start < end:
            await call()
            now = clock()
            latencies.append(now - start)
            start = now

    used, began = time.process_time(), clock()
    end = began + round(seconds * 1e9)
    if callers == 1:
        await ask(began, end)
    else:
        await asyncio.gather(*(ask(began, end) for _ in range(callers)))
    took = clock() - began
    return Turn(latencies, took / 1e9, time.process_time() - used)
