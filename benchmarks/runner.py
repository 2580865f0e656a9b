"""Interleaved rounds: every peer in turn, then again, so that a machine's drift affects all."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from benchmarks.contestants import Contestant
from benchmarks.operations import CALLERS_OF_EACH, Operation
from benchmarks.results import Figures, Row
from benchmarks.worker import Turn
from digitwin.timing import Times, summarize


@dataclass(frozen=True)
class Pace:
    """How long it takes.

    Args:
        rounds: turns of each peer.
        alone: seconds of a turn with one caller.
        many: seconds of a turn with many; with 0 there is none.
        several: seconds of a turn of several processes; with 0 there is none.
        warm: seconds of calls before the first turn, see `Contestant.warm_up`.
    """

    rounds: int
    alone: float
    many: float
    several: float = 0
    warm: float = 1


THOROUGH = Pace(rounds=10, alone=0.06, many=0.09, several=0.15)
BRIEF = Pace(rounds=5, alone=0.05, many=0.05)
QUICK = Pace(rounds=4, alone=0.04, many=0.04, warm=0.1)
ON_DISK = Pace(rounds=5, alone=0.2, many=1)

Clock = Callable[[], float | None]
"""Seconds of processor time that the server has used."""


@dataclass
class Measured:
    """What a contestant did in all its turns.

    Args:
        several: the calls a second of all processes together, turn by turn.
        server: seconds of processor time that the server used while many called.
    """

    alone: list[Turn] = field(default_factory=list)
    many: list[Turn] = field(default_factory=list)
    several: list[float] = field(default_factory=list)
    server: list[float | None] = field(default_factory=list)


def measure(
    operation: Operation, contestants: Sequence[Contestant], pace: Pace, server: Clock
) -> Row:
    """Measure one operation of every peer that offers it, in interleaved rounds."""
    ready = [each for each in contestants if each.offers(operation)]
    measured = {each.name: Measured() for each in ready}
    for each in ready:
        each.turn(1, pace.alone)
        each.warm_up(operation.callers, pace.warm)
    for n in range(pace.rounds if ready else 0):
        first = n % len(ready)
        for each in ready[first:] + ready[:first]:
            _round(each, measured[each.name], operation, pace, server)
    return {name: figures(each) for name, each in measured.items()}


def _round(
    contestant: Contestant, found: Measured, operation: Operation, pace: Pace, server: Clock
) -> None:
    found.alone.append(contestant.turn(1, pace.alone))
    if pace.many:
        before = server()
        found.many.append(contestant.turn(operation.callers, pace.many))
        after = server()
        found.server.append(None if before is None or after is None else after - before)
    if pace.several and len(contestant.processes) > 1:
        turns = contestant.turns(CALLERS_OF_EACH, pace.several)
        found.several.append(sum(map(_rate, turns)))


def figures(found: Measured) -> Figures:
    """The figures of a contestant's turns."""
    alone, many = _times(found.alone), _times(found.many) if found.many else None
    calls = sum(len(each.latencies) for each in found.many)
    server = [each for each in found.server if each is not None]
    return Figures(
        p50=alone.p50 * 1000,
        p99=alone.p99 * 1000,
        calls=alone.count,
        rate=statistics.median(map(_rate, found.many)) if many else None,
        p50_many=many.p50 * 1000 if many else None,
        p99_many=many.p99 * 1000 if many else None,
        rate_4x8=statistics.median(found.several) if found.several else None,
        client_cpu=sum(each.cpu for each in found.many) / calls * 1000 if many else None,
        server_cpu=sum(server) / calls * 1000 if server else None,
    )


def _times(turns: Sequence[Turn]) -> Times:
    return summarize(each / 1e9 for each in chain.from_iterable(t.latencies for t in turns))


def _rate(turn: Turn) -> float:
    return len(turn.latencies) / turn.seconds
