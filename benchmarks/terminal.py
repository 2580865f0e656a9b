"""The table at the end of a run, for whoever watches."""

from __future__ import annotations

import sys

from benchmarks.operations import OPERATIONS
from benchmarks.peers import PEERS
from benchmarks.results import Figures, Section, verdicts

MARKS = {True: "✓", False: "✗"}


def table(section: Section) -> str:
    """Every operation in one line, once with one caller and once with many."""
    peers = [peer for peer in PEERS if any(peer.name in row for row in section.rows.values())]
    names = [peer.name for peer in peers]
    blocks = [
        f"{section.title}, PostgreSQL {section.server}",
        _one_caller(section, names),
        _promises(section),
        _many_callers(section, names),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n\n"


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _one_caller(section: Section, names: list[str]) -> str:
    rest = [name for name in names if name not in ("digitwin", "floor")]
    lines = [["one caller, µs", "digitwin", "floor", "ratio", "target", "", *rest]]
    for operation in OPERATIONS:
        row = section.rows.get(operation.name)
        if row is None:
            continue
        ours = row.get("digitwin")
        ratio = ours.ratio if ours else None
        lines.append(
            [
                operation.title,
                _median(ours),
                _median(row.get("floor")),
                f"{ratio:.2f}" if ratio else "",
                f"{operation.target:g}",
                MARKS[round(ratio, 2) <= operation.target] if ratio else "",
                *(_median(row.get(name)) for name in rest),
            ]
        )
    return aligned(lines)


def _many_callers(section: Section, names: list[str]) -> str:
    lines = [["32 callers, calls a second", *names]]
    for operation in OPERATIONS:
        row = section.rows.get(operation.name)
        if row is not None:
            lines.append([operation.title, *(_rate(row.get(name)) for name in names)])
    return aligned(lines)


def _promises(section: Section) -> str:
    """How far ahead of whom."""
    lines = [["times digitwin's median", "measured", "wanted", ""]]
    for operation in OPERATIONS:
        for verdict in verdicts(operation, section.rows.get(operation.name, {})):
            if verdict.against != "floor":
                lines.append(
                    [
                        f"{operation.title}: {verdict.against}",
                        f"{verdict.found:.2f}",
                        f"{verdict.wanted:g}",
                        MARKS[verdict.kept],
                    ]
                )
    return aligned(lines) if len(lines) > 1 else ""


def _median(figures: Figures | None) -> str:
    return f"{figures.median:.0f}" if figures else "·"


def _rate(figures: Figures | None) -> str:
    return f"{figures.rate:,.0f}" if figures else "·"


def aligned(lines: list[list[str]]) -> str:
    """A table of text: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        ).rstrip()
        for line in lines
    )
