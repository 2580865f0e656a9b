"""The comparison as pictures for the documentation: a panel of bars for each operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Final

from benchmarks import svg
from benchmarks.operations import OPERATIONS
from benchmarks.report import TITLES
from benchmarks.results import Figures, Row, Section

IMAGES: Final = Path(__file__).parents[1] / "docs" / "images"
WIDTH, MARGIN, COLUMN = 980, 24, 466
STEP, BAR, LABELS, VALUES = 22, 14, 164, 64
"""Of a panel, in pixels: from bar to bar, a bar, the names before it, the figure behind it."""

Reading = Callable[[Figures], float]


def draw(section: Section, note: str) -> None:
    """Both pictures of a section, beside the documentation."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    alone = bars(section, "Microseconds a call, one caller: less is better", note, MEDIAN)
    (IMAGES / "speed-one-caller.svg").write_text(alone, "utf-8")
    together = bars(section, "Calls a second, 32 callers: more is better", note, RATE)
    (IMAGES / "speed-32-callers.svg").write_text(together, "utf-8")


def bars(section: Section, title: str, note: str, reading: Reading) -> str:
    """A picture with a panel for each operation, two in a row; each has a scale of its own."""
    panels = [(op.title, section.rows[op.name]) for op in OPERATIONS if op.name in section.rows]
    parts = [
        svg.text(MARGIN, 36, title, "title"),
        svg.text(MARGIN, 58, note, "quiet"),
    ]
    top = 92.0
    for pair in (panels[n : n + 2] for n in range(0, len(panels), 2)):
        for place, (name, row) in enumerate(pair):
            parts += _panel(MARGIN + place * COLUMN, top, name, row, reading)
        top += 34 + STEP * max(len(row) for _, row in pair)
    return svg.picture(WIDTH, top, title, parts)


def _panel(x: float, top: float, name: str, row: Row, reading: Reading) -> Sequence[str]:
    longest = max(map(reading, row.values()))
    room = COLUMN - MARGIN - LABELS - VALUES
    parts = [svg.text(x, top, name, "name")]
    for n, (peer, figures) in enumerate(row.items()):
        value, y = reading(figures), top + 12 + n * STEP
        width = room * value / longest
        parts += [
            svg.text(x + LABELS - 8, y + 12, TITLES[peer], "right" + ("" if n == 0 else " quiet")),
            svg.bar(x + LABELS, y, width, BAR, KINDS.get(peer, "other")),
            svg.text(x + LABELS + width + 6, y + 12, f"{value:,.0f}"),
        ]
    return parts


MEDIAN: Final = attrgetter("median")
RATE: Final = attrgetter("rate")
KINDS: Final = {"digitwin": "ours", "scoped": "ours", "floor": "floor"}
