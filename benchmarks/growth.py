"""Measure whether a call costs more in a large table than in a small one.

Each operation's median with one caller where its table has ten thousand rows, a million and,
with --ten-million, ten million; in interleaved rounds over databases side by side. Cached values
are short, except those that are asked for.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
from rich.console import Console
from rich.markdown import Markdown

import digitwin
from benchmarks import charts, filling, machine, results, runner, servers
from benchmarks.filling import ANSWER, TURNS, Size, vectors
from benchmarks.operations import OPERATIONS, Operation
from benchmarks.peers.base import Place
from benchmarks.peers.ours import Digitwin
from benchmarks.report import MARKS
from benchmarks.runner import Contestant, Pace

STEPS: Final = (10_000, 1_000_000)
FURTHER: Final = 10_000_000
BOUND: Final = 1.5
"""How many times its cost at the first step a call may cost at the last."""
DRAWN: Final = 200
"""Rows that are asked for at every step: as many sessions as the smallest has. The size of the
table differs then, not the number of its pages in use."""
PACE: Final = Pace(rounds=8, alone=0.15, together=0, warm=0.2)

Medians = Mapping[str, float]
"""Microseconds, by the number of rows."""

console = Console(highlight=False)


class Grown(Digitwin):
    """Digitwin, with ordinary values in the cache for what is asked for."""

    async def prepare(self, operation: str, arguments: Sequence[tuple[Any, ...]]) -> None:
        value: Any = {"embedding_get": vectors()[0], "response_get": ANSWER}.get(operation)
        if value is not None:
            store = getattr(self, operation.replace("_get", "_set"))
            for (key,) in arguments:
                await store(key, value)


def main(arguments: Sequence[str] = sys.argv[1:]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--ten-million",
        action="store_true",
        help="takes ten minutes more and 20 GB of disk, without fsync",
    )
    parser.add_argument("--quick", action="store_true", help="to 100,000 rows; not kept")
    chosen = parser.parse_args(arguments)
    steps = (*STEPS, FURTHER) if chosen.ten_million else STEPS
    found = run((10_000, 100_000) if chosen.quick else steps)
    console.print(Markdown(_table(found)))
    if not chosen.quick:
        keep(found)
    return 0


def run(steps: Sequence[int]) -> dict[str, Medians]:
    """Measure every operation at every step."""
    with ExitStack() as stack:
        to_caller = stack.enter_context(servers.cores("apart"))
        url = stack.enter_context(servers.embedded(on_disk=steps[-1] >= FURTHER))
        to_caller()
        loop = stack.enter_context(servers.CONDITIONS[0].loop())
        return loop.run(_run(url, steps))


async def _run(url: str, steps: Sequence[int]) -> dict[str, Medians]:
    contestants = [await _contestant(url, rows) for rows in steps]
    return {each.name: await _medians(each, contestants) for each in OPERATIONS.values()}


async def _contestant(server: str, rows: int) -> Contestant:
    """Digitwin on a database with so many rows in each table that an operation uses."""
    console.print(f"{rows:,} rows …")
    connection = await asyncpg.connect(server)
    await connection.execute(f"CREATE DATABASE rows_{rows}")
    await connection.close()
    url = server.replace("/postgres?", f"/rows_{rows}?")
    async with digitwin.connect(url, migrate="auto"):
        pass
    sessions = rows // TURNS
    size = Size(rows, sessions, sessions, rows, rows, rows, small=True, drawn=DRAWN)
    await filling.fill(url, size)
    return Contestant(str(rows), Grown, Place(url), size)


async def _medians(operation: Operation, contestants: Sequence[Contestant]) -> Medians:
    console.print(f"  {operation.title}")
    row = await runner.measure(operation, contestants, PACE)
    return {rows: round(figures.median, 1) for rows, figures in row.items()}


def _table(found: Mapping[str, Medians]) -> str:
    steps = [*next(iter(found.values()))]
    heads = " | ".join(f"{int(rows):,} rows" for rows in steps)
    lines = [f"| one caller, µs | {heads} | growth | |", f"|---|{'---:|' * len(steps)}---:|---|"]
    for name, medians in found.items():
        growth = medians[steps[-1]] / medians[steps[0]]
        cells = " | ".join(f"{medians[rows]:.0f}" for rows in steps)
        verdict = f"{growth:.2f} | {MARKS[growth <= BOUND]}"
        lines.append(f"| {OPERATIONS[name].title} | {cells} | {verdict} |")
    return "\n".join(lines)


def keep(found: Mapping[str, Medians]) -> None:
    """Store the medians, then draw them."""
    date = datetime.now(UTC).date().isoformat()
    conditions = {"machine": machine.description(), "versions": machine.versions([Digitwin])}
    stored = {"date": date, **conditions, "median_us": found}
    results.store(f"{date}-growth", stored)
    charts.draw_growth(stored)


if __name__ == "__main__":
    sys.exit(main())
