"""The figures as Markdown: the page of a run, and what the terminal shows of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from benchmarks.operations import OPERATIONS
from benchmarks.peers import PEERS
from benchmarks.results import FOLDER, Figures, Report, Section, verdicts

MARKS: Final = {True: "✓", False: "✗"}


def write(report: Report) -> None:
    """Write the page that always shows the latest run."""
    lines = [*_head(report)]
    for section in report.sections:
        lines += [f"## {section.title}, PostgreSQL {section.server}", ""]
        lines += [*targets(section), "", *_details(section)]
    (FOLDER / "latest.md").write_text("\n".join(lines), "utf-8")


def _head(report: Report) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    runs = "one run" if report.runs == 1 else f"the median of {report.runs} runs"
    return [
        "# Speed, as measured",
        "",
        f"{report.date}, {runs}, on {report.machine}. {versions}.",
        "",
        "One process on one core, the servers on the others; each peer in turn, round after round,",
        "so that drift affects all alike. Times are of one call with one caller; rates with 32",
        "tasks on 10 connections. The floor is raw asyncpg with prepared statements on held",
        "connections, sending what digitwin sends. The servers' files are in memory: a commit",
        "costs what the layers cost, not what a disk does. Made by `make bench`;",
        "`benchmarks/README.md` describes what is compared, and how.",
        *(f"\nLeft out: {reason}." for reason in report.left_out),
        "",
    ]


def targets(section: Section) -> Iterator[str]:
    """A table of digitwin beside the floor, with the targets."""
    yield "| operation | digitwin | floor | ratio | target | | ahead of |"
    yield "|---|---:|---:|---:|---:|:-:|---|"
    for name, row in section.rows.items():
        if "digitwin" not in row or "floor" not in row:
            continue
        kept, *ahead = verdicts(OPERATIONS[name], row)
        rivals = ", ".join(
            f"{PEERS[each.against].title} {each.found:.1f}× (wanted {each.wanted:g})"
            f" {MARKS[each.kept]}"
            for each in ahead
        )
        medians = f"{row['digitwin'].median:.0f} µs | {row['floor'].median:.0f} µs"
        verdict = f"{kept.found:.2f} | {kept.wanted:g} | {MARKS[kept.kept]}"
        yield f"| {OPERATIONS[name].title} | {medians} | {verdict} | {rivals} |"


def overview(section: Section, column: str) -> Iterator[str]:
    """A table of one figure: a line for each operation, a column for each peer."""
    peers = [name for name in PEERS if any(name in row for row in section.rows.values())]
    yield f"| {column} | {' | '.join(peers)} |"
    yield f"|---|{'---:|' * len(peers)}"
    for name, row in section.rows.items():
        cells = [f"{getattr(row[peer], column):,.0f}" if peer in row else "" for peer in peers]
        yield f"| {OPERATIONS[name].title} | {' | '.join(cells)} |"


def _details(section: Section) -> Iterator[str]:
    for operation, row in section.rows.items():
        yield from (f"### {OPERATIONS[operation].title}", "")
        yield "| | median, µs | p99, µs | times the floor | calls/s, 32 tasks |"
        yield "|---|---:|---:|---:|---:|"
        for name, figures in row.items():
            title = PEERS[name].title
            yield f"| {f'**{title}**' if name == 'digitwin' else title} | {_cells(figures)} |"
        yield ""


def _cells(figures: Figures) -> str:
    ratio = f"{figures.ratio:.2f}" if figures.ratio else ""
    return f"{figures.median:.0f} | {figures.p99:.0f} | {ratio} | {figures.rate:,.0f}"
