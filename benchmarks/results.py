"""What was measured, as figures; several runs as one; and the JSON that keeps them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.operations import Operation
from benchmarks.peers import PEERS

FOLDER: Final = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figures:
    """One peer at one operation.

    Args:
        median: microseconds of a call, one caller.
        p99: microseconds of a call, one caller.
        rate: calls a second, many callers.
        ratio: the median divided by the floor's; None without the floor.
        calls: how many the median is of.
    """

    median: float
    p99: float
    rate: float
    ratio: float | None
    calls: int


Row = Mapping[str, Figures]
"""By the peer's name."""


@dataclass(frozen=True)
class Section:
    """All operations under one condition, by name; ``server`` is its version."""

    name: str
    title: str
    server: str
    rows: Mapping[str, Row]


@dataclass(frozen=True)
class Report:
    """A run, or the median of several."""

    date: str
    machine: str
    versions: Mapping[str, str]
    runs: int
    sections: Sequence[Section]
    left_out: Sequence[str]


def median_of(runs: Sequence[Section]) -> Section:
    """Several runs as one: the median of each figure."""
    first = runs[0]
    rows = {
        operation: {peer: _median_of([run.rows[operation][peer] for run in runs]) for peer in row}
        for operation, row in first.rows.items()
    }
    return Section(first.name, first.title, first.server, rows)


def _median_of(figures: Sequence[Figures]) -> Figures:
    columns = {name: [asdict(each)[name] for each in figures] for name in Figures.__slots__}
    calls = sum(columns.pop("calls"))
    medians = {k: None if None in v else statistics.median(v) for k, v in columns.items()}
    return Figures(calls=calls, **medians)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one target of an operation stands.

    Args:
        against: the floor's name, or a peer's.
        found: digitwin's median divided by the floor's; or a peer's divided by digitwin's.
    """

    against: str
    found: float
    wanted: float
    kept: bool


def verdicts(operation: Operation, row: Row) -> list[Verdict]:
    """The operation's targets, as far as they were measured; the floor comes first."""
    ours = row.get("digitwin")
    if ours is None:
        return []
    found = []
    if ours.ratio is not None:
        kept = round(ours.ratio, 2) <= operation.target
        found.append(Verdict("floor", ours.ratio, operation.target, kept))
    for peer, wanted in operation.ahead.items():
        if peer in row:
            times = row[peer].median / ours.median
            found.append(Verdict(peer, times, wanted, round(times, 2) >= wanted))
    return found


def store(name: str, value: Mapping[str, Any]) -> None:
    """Write one file of JSON; three digits behind the point are more than is known."""
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(_rounded(value), indent=1, ensure_ascii=False)
    (FOLDER / f"{name}.json").write_text(f"{text}\n", "utf-8")


def load(pattern: str) -> Any:
    """The newest file whose name matches."""
    return json.loads(max(FOLDER.glob(f"{pattern}.json")).read_text("utf-8"))


def newest() -> Report:
    """The newest stored report, without peers that are no longer measured."""
    stored = load("????-??-??")
    sections = [
        Section(**{**each, "rows": {name: _row(name, row) for name, row in each["rows"].items()}})
        for each in stored["sections"]
    ]
    return Report(**{**stored, "sections": sections})


def _row(operation: str, row: Mapping[str, Any]) -> Row:
    return {
        name: Figures(**figures)
        for name, figures in row.items()
        if hasattr(PEERS.get(name), operation)
    }


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    return [*map(_rounded, value)] if isinstance(value, (list, tuple)) else value
