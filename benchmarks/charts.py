"""The stored figures as pictures for the documentation; equal figures give equal files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.operations import OPERATIONS
from benchmarks.peers import PEERS
from benchmarks.results import Report, Row, Section

IMAGES: Final = Path(__file__).parents[1] / "docs" / "images"
COLOURS: Final = {"digitwin": "#0b7a75", "scoped": "#0b7a75", "floor": "#8c959f"}
OTHERS: Final = "#b6c7d9"

mpl.rcParams |= {
    "svg.hashsalt": "digitwin",
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(report: Report | None, grown: Mapping[str, Any] | None) -> None:
    """Draw what there is."""
    if report is not None:
        _draw_comparison(report)
    if grown is not None:
        _draw_growth(grown)


def _draw_comparison(report: Report) -> None:
    """Draw the README's section, a panel of bars for each operation: one caller, and many."""
    section = report.stricter
    note = f"{section.title}, PostgreSQL {section.server}; {report.machine}; {report.date}"
    for name, column, title in (
        ("speed-one-caller", "p50", "Microseconds a call, one caller: less is better"),
        ("speed-32-callers", "rate", "Calls a second, 32 callers: more is better"),
    ):
        _save(_bars(section, column), name, title, note)


def _draw_growth(stored: Mapping[str, Any]) -> None:
    """Draw a line for each operation, over rows on a logarithmic scale."""
    figure = Figure(figsize=(9.8, 5), layout="constrained")
    axes = figure.subplots()
    lines = [
        (f"{OPERATIONS[name].title}{', for_user' if peer == 'scoped' else ''}", peer, medians)
        for name, peers in stored["median_us"].items()
        for peer, medians in peers.items()
    ]
    slowest_first = sorted(lines, key=lambda line: -max(line[2].values()))
    for title, peer, medians in slowest_first:
        rows, values = [*map(int, medians)], [*medians.values()]
        label = f"{title} ×{values[-1] / values[0]:.2f}"
        style = "--" if peer == "scoped" else "-"
        axes.plot(rows, values, style, marker="o", label=label)
    axes.set_xscale("log")
    axes.set_xticks(rows, [f"{each:,} rows" for each in rows])
    axes.set_xticks([], minor=True)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color="#d0d7de")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    note = f"one caller, PostgreSQL on its socket; {stored['machine']}; {stored['date']}"
    _save(figure, "growth", "Microseconds a call, as the tables grow", note)


def _bars(section: Section, column: str) -> Figure:
    rows = [*section.rows.items()]
    pairs = [rows[n : n + 2] for n in range(0, len(rows), 2)]
    heights = [1.5 + max(len(row) for _, row in pair) for pair in pairs]
    figure = Figure(figsize=(9.8, 0.27 * sum(heights) + 0.7), layout="constrained")
    grid = figure.subplots(len(pairs), 2, squeeze=False, height_ratios=heights)
    for panel in grid.flat[len(rows) :]:
        panel.remove()
    for n, (name, row) in enumerate(rows):
        panel = grid.flat[n]
        _panel(panel, row, column)
        panel.set_title(OPERATIONS[name].title)
        # bars of one width, also beside a panel with more of them
        panel.set_ylim(heights[n // 2] - 2, -0.6)
    return figure


def _panel(axes: Axes, row: Row, column: str) -> None:
    bars = axes.barh(
        [PEERS[name].title for name in row],
        [getattr(figures, column) or 0 for figures in row.values()],
        color=[COLOURS.get(name, OTHERS) for name in row],
        height=0.7,
    )
    axes.bar_label(bars, fmt="{:,.0f}", padding=4)
    axes.margins(x=0.15)
    axes.tick_params(left=False)
    axes.xaxis.set_visible(False)
    axes.spines[:].set_visible(False)


def _save(figure: Figure, name: str, title: str, note: str) -> None:
    figure.suptitle(title, x=0.01, ha="left", weight="bold", size=13)
    figure.supxlabel(note, x=0.01, ha="left", size=9, color="#59636e")
    IMAGES.mkdir(parents=True, exist_ok=True)
    # without the date of drawing and the library's version
    metadata = {"Title": title, "Date": None, "Creator": None}
    figure.savefig(IMAGES / f"{name}.svg", metadata=metadata)
