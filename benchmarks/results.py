"""What was measured, as figures; several runs as one; and the JSON that keeps them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from benchmarks.operations import ALL, CONNECT, FIRST_RESULT, GOALS, Goal, Operation

FOLDER: Final = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Figures:
    """One peer at one operation; times are microseconds of a call, by nearest rank.

    Args:
        p50: one caller.
        p99: one caller.
        calls: how many those are of.
        rate: calls a second, 32 callers in one process.
        p50_many: 32 callers.
        p99_many: 32 callers.
        rate_4x8: calls a second, four processes of 8 callers.
        client_cpu: seconds of processor time for 1,000 calls, 32 callers.
        server_cpu: the same of the server, its background processes included.
    """

    p50: float
    p99: float
    calls: int
    rate: float | None = None
    p50_many: float | None = None
    p99_many: float | None = None
    rate_4x8: float | None = None
    client_cpu: float | None = None
    server_cpu: float | None = None


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
class Start:
    """A fresh process on a running server.

    Args:
        first: seconds to the first result, the imports included.
        connect: milliseconds of the call that connects.
    """

    first: float
    connect: float


@dataclass(frozen=True)
class Report:
    """A run, or the median of several."""

    date: str
    machine: str
    versions: Mapping[str, str]
    runs: int
    sections: Sequence[Section]
    starts: Mapping[str, Start] = field(default_factory=dict)
    left_out: Sequence[str] = ()

    @property
    def stricter(self) -> Section:
        """The one of the two core settings under which digitwin looks worse."""
        chosen = [each for each in self.sections if each.name in ("shared", "apart")]
        return max(chosen or self.sections, key=lambda section: len(missed(of_section(section))))


def median_of(runs: Sequence[Section]) -> Section:
    """Several runs as one: the median of each figure."""
    first = runs[0]
    rows = {
        operation: {peer: middle([run.rows[operation][peer] for run in runs]) for peer in row}
        for operation, row in first.rows.items()
    }
    return Section(first.name, first.title, first.server, rows)


def middle(found: Sequence[Any]) -> Any:
    """The median of each field of figures of one kind."""
    columns = {each.name: [getattr(f, each.name) for f in found] for each in fields(found[0])}
    return type(found[0])(
        **{k: None if None in v else statistics.median(v) for k, v in columns.items()}
    )


def number(value: float) -> str:
    """A ratio or a figure, as it is shown."""
    if value < 0.1:
        return f"{value:.3f}"
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


@dataclass(frozen=True)
class Verdict:
    """How one target stands.

    Args:
        subject: the operation's title.
        found: the ratio, or the figure, that was measured.
    """

    subject: str
    goal: Goal
    found: float
    wanted: float

    @property
    def met(self) -> bool:
        """Compared as it is shown."""
        shown = round(self.found, 2)
        return shown <= self.wanted if self.goal.bound == "at most" else shown >= self.wanted

    def __str__(self) -> str:
        sign = "≤" if self.goal.bound == "at most" else "≥"
        word = "met" if self.met else "missed"
        return f"{number(self.found)} ({sign} {number(self.wanted)}) {word}"


def verdicts(operation: Operation, row: Row) -> dict[str, Verdict]:
    """The operation's targets by their goals' names, as far as they were measured."""
    found = {name: _found(GOALS[name], row) for name in GOALS if name in operation.targets}
    return {
        name: Verdict(operation.title, GOALS[name], number, operation.targets[name])
        for name, number in found.items()
        if number is not None
    }


def _found(goal: Goal, row: Row) -> float | None:
    ours = getattr(row.get(goal.ours), goal.column, None)
    if ours is None or not goal.other:
        return ours
    other = getattr(row.get(goal.other), goal.column, None)
    if other is None:
        return None
    # ahead with one caller is a shorter time, ahead with many a higher rate
    is_time = goal.column.startswith("p")
    return float(other / ours if is_time and goal.bound == "at least" else ours / other)


def of_section(section: Section) -> list[Verdict]:
    """The targets of all operations of a section."""
    return [v for name, row in section.rows.items() for v in verdicts(ALL[name], row).values()]


def missed(found: Sequence[Verdict]) -> list[Verdict]:
    """Those that are not met."""
    return [each for each in found if not each.met]


def start_verdicts(starts: Mapping[str, Start]) -> list[Verdict]:
    """Those of a start."""
    ours = starts.get("digitwin")
    if ours is None:
        return []
    first = Goal("first result", "first", "", "s to the first result of a process", "at most")
    connect = Goal("connect()", "connect", "", "ms for connect()", "at most")
    return [
        Verdict("first use", first, ours.first, FIRST_RESULT),
        Verdict("first use", connect, ours.connect, CONNECT),
    ]


def store(name: str, value: Mapping[str, Any]) -> None:
    """Write one file of JSON; four digits are more than is known."""
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(_rounded(value), indent=1, ensure_ascii=False)
    (FOLDER / f"{name}.json").write_text(f"{text}\n", "utf-8")


def load(pattern: str) -> Any:
    """The newest file whose name matches; None if there is none."""
    newest = max(FOLDER.glob(f"{pattern}.json"), default=None)
    return newest and json.loads(newest.read_text("utf-8"))


def newest() -> Report | None:
    """The newest stored report; None if there is none."""
    stored = load("????-??-??")
    if stored is None:
        return None
    sections = [
        Section(**{**each, "rows": {n: _built(Figures, row) for n, row in each["rows"].items()}})
        for each in stored["sections"]
    ]
    starts = _built(Start, stored["starts"])
    return Report(**{**stored, "sections": sections, "starts": starts})


def newest_growth() -> Any:
    """The newest medians of `benchmarks.growth`; None if there are none."""
    return load("*-growth")


def _built(kind: Callable[..., Any], row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: kind(**figures) for name, figures in row.items()}


def stored_form(report: Report) -> dict[str, Any]:
    """The report as JSON has it."""
    return asdict(report)


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    return [*map(_rounded, value)] if isinstance(value, (list, tuple)) else value
