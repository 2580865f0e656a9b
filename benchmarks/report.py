"""What a run leaves behind: the figures as JSON, and as a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.operations import OPERATIONS
from benchmarks.peers import PEERS
from benchmarks.results import Figures, Row, Section, verdicts
from benchmarks.terminal import MARKS

RESULTS: Final = Path(__file__).parent / "results"
TITLES: Final = {peer.name: peer.title for peer in PEERS}


@dataclass(frozen=True)
class Report:
    """A run, or the middle of several."""

    date: str
    machine: str
    versions: Mapping[str, str]
    runs: int
    sections: Sequence[Section]
    left_out: Sequence[str]


def write(report: Report) -> None:
    """Beside the benchmarks: the day's JSON, and the page that is always the latest."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(_rounded(asdict(report)), indent=1, ensure_ascii=False)
    (RESULTS / f"{report.date}.json").write_text(text + "\n", "utf-8")
    (RESULTS / "latest.md").write_text(page(report), "utf-8")


def _rounded(value: object) -> object:
    """Three digits behind the point are more than is known."""
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(each) for each in value]
    return value


def page(report: Report) -> str:
    """The report in Markdown."""
    return "\n".join([*_head(report), *(line for s in report.sections for line in _section(s))])


def _head(report: Report) -> list[str]:
    told = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    runs = "one run" if report.runs == 1 else f"the median of {report.runs} runs"
    return [
        "# Speed, as measured",
        "",
        f"{report.date}, {runs}, on {report.machine}. {told}.",
        "",
        "One process on one core, the servers on the others; each peer in turn, round after round,",
        "so that drift hits all alike. Times are of one call with one caller; rates with 32 tasks",
        "on 10 connections. The floor is raw asyncpg with prepared statements on held connections,",
        "sending what digitwin sends. The servers' files lie in memory: a commit costs what the",
        "layers cost, not what a disk does. Made by `make bench`; what is compared, and how, is",
        "told in `benchmarks/README.md`.",
        *(f"\nLeft out: {reason}." for reason in report.left_out),
        "",
    ]


def _section(section: Section) -> list[str]:
    rows = [(op, section.rows[op.name]) for op in OPERATIONS if op.name in section.rows]
    lines = [f"## {section.title}, PostgreSQL {section.server}", "", *_promised(section)]
    for operation, row in rows:
        lines += [f"### {operation.title}", "", *_peers(row), ""]
    return lines


def _promised(section: Section) -> list[str]:
    lines = [
        "| operation | digitwin | floor | ratio | target | | ahead of |",
        "|---|---:|---:|---:|---:|:-:|---|",
    ]
    for operation in OPERATIONS:
        row = section.rows.get(operation.name, {})
        if "digitwin" not in row or "floor" not in row:
            continue
        kept, *ahead = verdicts(operation, row)
        rivals = ", ".join(
            f"{TITLES[each.against]} {each.found:.1f}× (wanted {each.wanted:g}) {MARKS[each.kept]}"
            for each in ahead
        )
        lines.append(
            f"| {operation.title} | {row['digitwin'].median:.0f} µs | {row['floor'].median:.0f} µs"
            f" | {kept.found:.2f} | {kept.wanted:g} | {MARKS[kept.kept]} | {rivals} |"
        )
    return [*lines, ""]


def _peers(row: Row) -> list[str]:
    return [
        "| | median, µs | p99, µs | times the floor | calls/s, 32 tasks |",
        "|---|---:|---:|---:|---:|",
        *(f"| {_bold(name)} | {_cells(figures)} |" for name, figures in row.items()),
    ]


def _bold(name: str) -> str:
    return f"**{TITLES[name]}**" if name == "digitwin" else TITLES[name]


def _cells(figures: Figures) -> str:
    ratio = f"{figures.ratio:.2f}" if figures.ratio else ""
    return f"{figures.median:.0f} | {figures.p99:.0f} | {ratio} | {figures.rate:,.0f}"
