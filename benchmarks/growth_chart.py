"""The growth as a picture: a line for each operation, over rows on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from benchmarks import svg
from benchmarks.charts import IMAGES, MARGIN
from benchmarks.operations import OPERATIONS

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 980, 460, 70, 250, 92, 44
COLOURS: Final = (
    "#0b7a75", "#c2571a", "#6f42c1", "#1f6feb", "#b08800", "#cf222e", "#1a7f37", "#8250df",
)  # fmt: skip
"""Of the lines: strong enough on white and on black."""


def draw(found: Mapping[str, Mapping[int, float]], note: str) -> None:
    """Beside the documentation."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    (IMAGES / "growth.svg").write_text(lines(found, note), "utf-8")


def lines(found: Mapping[str, Mapping[int, float]], note: str) -> str:
    """Microseconds a call, against how many rows the table has."""
    steps = sorted(next(iter(found.values())))
    top = _round_up(max(value for medians in found.values() for value in medians.values()))
    title = "Microseconds a call, as the tables grow"
    parts = [svg.text(MARGIN, 36, title, "title"), svg.text(MARGIN, 58, note, "quiet")]
    parts += _grid(steps, top)
    ends = _apart({name: _y(medians[steps[-1]], top) for name, medians in found.items()})
    for colour, operation in zip(COLOURS, OPERATIONS, strict=True):
        medians = found[operation.name]
        points = " ".join(f"{_x(rows, steps):.1f},{_y(medians[rows], top):.1f}" for rows in steps)
        grown = medians[steps[-1]] / medians[steps[0]]
        parts += [
            f'<polyline points="{points}" class="line" stroke="{colour}"/>',
            svg.text(
                WIDTH - RIGHT + 14, ends[operation.name] + 4, f"{operation.title} ×{grown:.2f}"
            ),
            f'<rect x="{WIDTH - RIGHT + 4}" y="{ends[operation.name] - 5:.1f}" width="6"'
            f' height="10" fill="{colour}"/>',
        ]
    return svg.picture(WIDTH, HEIGHT, title, parts)


def _grid(steps: list[int], top: float) -> list[str]:
    parts = []
    for part in range(5):
        y = _y(top * part / 4, top)
        parts += [
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>',
            svg.text(LEFT - 8, y + 4, f"{top * part / 4:g}", "right quiet"),
        ]
    return parts + [
        svg.text(_x(rows, steps), HEIGHT - BOTTOM + 22, f"{rows:,} rows", "middle quiet")
        for rows in steps
    ]


def _x(rows: int, steps: list[int]) -> float:
    whole = math.log(steps[-1] / steps[0])
    return LEFT + 40 + (WIDTH - RIGHT - LEFT - 60) * math.log(rows / steps[0]) / whole


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top


def _round_up(value: float) -> float:
    step: float = 10 ** math.floor(math.log10(value))
    return math.ceil(value / step) * step


def _apart(places: Mapping[str, float], gap: float = 18) -> dict[str, float]:
    """The labels' places, moved up where they would cover each other."""
    moved: dict[str, float] = {}
    limit = math.inf
    for name, y in sorted(places.items(), key=lambda each: -each[1]):
        limit = moved[name] = min(y, limit - gap)
    return moved
