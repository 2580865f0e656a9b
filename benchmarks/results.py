"""What was measured, as figures; and several runs as one."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.operations import Operation
from benchmarks.runner import Measured


@dataclass(frozen=True, slots=True)
class Figures:
    """One peer at one operation."""

    median: float
    """Microseconds of a call, one caller."""
    p99: float
    """Microseconds, one caller."""
    rate: float
    """Calls a second, many callers."""
    ratio: float | None
    """The median in floors; None where the floor was not measured."""
    calls: int
    """Calls that the median stands on."""


Row = Mapping[str, Figures]
"""By the peer's name."""


@dataclass(frozen=True)
class Section:
    """All operations under one condition."""

    name: str
    title: str
    server: str
    """Its version."""
    rows: Mapping[str, Row]
    """By the operation's name."""


def row(measured: Mapping[str, Measured]) -> Row:
    """The figures of one operation."""
    medians = {name: statistics.median(found.latencies) for name, found in measured.items()}
    floor = medians.get("floor")
    return {
        name: Figures(
            median=medians[name] / 1000,
            p99=_percentile(found.latencies, 0.99) / 1000,
            rate=statistics.median(found.rates),
            ratio=None if floor is None else medians[name] / floor,
            calls=len(found.latencies),
        )
        for name, found in measured.items()
    }


def _percentile(values: Sequence[float], part: float) -> float:
    return sorted(values)[int((len(values) - 1) * part)]


def middle(runs: Sequence[Section]) -> Section:
    """Several runs as one: of each figure, the median."""
    first = runs[0]
    rows = {
        operation: {
            peer: _middle([run.rows[operation][peer] for run in runs])
            for peer in first.rows[operation]
        }
        for operation in first.rows
    }
    return Section(first.name, first.title, first.server, rows)


def _middle(figures: Sequence[Figures]) -> Figures:
    def of(read: Callable[[Figures], float]) -> float:
        return statistics.median(map(read, figures))

    return Figures(
        median=of(lambda each: each.median),
        p99=of(lambda each: each.p99),
        rate=of(lambda each: each.rate),
        ratio=None if figures[0].ratio is None else of(lambda each: each.ratio or 0),
        calls=sum(each.calls for each in figures),
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """One promise of an operation: how it stands."""

    against: str
    """The floor's name, or a peer's."""
    found: float
    """Floors that digitwin takes; or how many times digitwin's median a peer takes."""
    wanted: float
    kept: bool


def verdicts(operation: Operation, figures: Row) -> list[Verdict]:
    """What the operation promises, as far as it was measured."""
    ours = figures.get("digitwin")
    if ours is None:
        return []
    found = []
    if ours.ratio is not None:
        kept = round(ours.ratio, 2) <= operation.target
        found.append(Verdict("floor", ours.ratio, operation.target, kept))
    for peer, wanted in operation.ahead.items():
        if peer in figures:
            times = figures[peer].median / ours.median
            found.append(Verdict(peer, times, wanted, round(times, 2) >= wanted))
    return found
