"""Measure whether a call costs more in a large table than in a small one.

Each operation's median with one caller where its table has ten thousand rows, a million and,
when asked for, ten million; in interleaved rounds over databases side by side. The cached
values between are short ones; those that are asked for have their ordinary size.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import asyncpg

import digitwin
from benchmarks import cores, filling, growth_chart, machine, runner, servers
from benchmarks.conditions import CONDITIONS
from benchmarks.filling import TURNS, Size
from benchmarks.operations import OPERATIONS, Operation
from benchmarks.peers.base import Place, StartsEmpty
from benchmarks.peers.ours import Digitwin
from benchmarks.report import RESULTS
from benchmarks.runner import Contestant, Pace
from benchmarks.terminal import MARKS, aligned, say
from digitwin.kernel.connection import dsn

STEPS: Final = (10_000, 1_000_000)
FURTHER: Final = 10_000_000
BOUND: Final = 1.5
"""How much more a call may cost at the last step than at the first."""
DRAWN: Final = 200
"""Rows that are asked for at every step: as many sessions as the smallest has. What differs is how
large the table around them is, not how many of its pages are in use."""
PACE: Final = Pace(rounds=8, alone=0.15, together=0, warm=0.2)

Medians = dict[int, float]
"""Microseconds by the number of rows."""


class Grown(StartsEmpty, Digitwin):
    """Digitwin over values of which only those that are asked for are ordinary."""


def main(arguments: Sequence[str] = sys.argv[1:]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--ten-million",
        action="store_true",
        help="go on; takes ten minutes and 20 GB of disk, for which commits then do not wait",
    )
    parser.add_argument("--quick", action="store_true", help="try it out: to 100,000, unwritten")
    chosen = parser.parse_args(arguments)
    steps = (*STEPS, FURTHER) if chosen.ten_million else STEPS
    found = run((10_000, 100_000) if chosen.quick else steps)
    say(_table(found))
    if not chosen.quick:
        keep(found)
    return 0


def run(steps: Sequence[int]) -> dict[str, Medians]:
    """By the operation's name."""
    with ExitStack() as stack:
        stack.enter_context(cores.given_back())
        with cores.for_servers("apart"):
            url = stack.enter_context(servers.embedded(on_disk=steps[-1] >= FURTHER))
        loop = stack.enter_context(CONDITIONS[0].loop())
        return loop.run(_run(url, steps))


async def _run(url: str, steps: Sequence[int]) -> dict[str, Medians]:
    connection = await asyncpg.connect(**Place(url).asyncpg_arguments())
    urls = {}
    for rows in steps:
        say(f"{rows:,} rows …")
        await connection.execute(f"CREATE DATABASE rows_{rows}")
        urls[rows] = replace(dsn.parse(url), database=f"rows_{rows}").url
        await _fill(urls[rows], size(rows))
    await connection.close()
    found = {}
    for operation in OPERATIONS:
        say(f"  {operation.title}")
        found[operation.name] = await _medians(operation, urls)
    return found


async def _fill(url: str, rows: Size) -> None:
    async with digitwin.connect(url, migrate="auto"):
        pass
    connection = await asyncpg.connect(**Place(url).asyncpg_arguments())
    try:
        await filling.fill(connection, rows)
    finally:
        await connection.close()


def size(rows: int) -> Size:
    """So many rows in each table that an operation reads or writes."""
    sessions = rows // TURNS
    return Size(rows, sessions, sessions, rows, rows, rows, small=True, drawn=DRAWN)


async def _medians(operation: Operation, urls: Mapping[int, str]) -> Medians:
    contestants = [
        Contestant(str(rows), Grown, Place(url), size(rows)) for rows, url in urls.items()
    ]
    measured = await runner.measure(operation, contestants, PACE)
    return {rows: statistics.median(measured[str(rows)].latencies) / 1000 for rows in urls}


def growth(medians: Medians) -> float:
    """The last step's median in the first one's."""
    return medians[max(medians)] / medians[min(medians)]


def _table(found: Mapping[str, Medians]) -> str:
    steps = sorted(next(iter(found.values())))
    lines = [["one caller, µs", *(f"{rows:,} rows" for rows in steps), "growth", ""]]
    for operation in OPERATIONS:
        medians = found[operation.name]
        grown = growth(medians)
        figures = [f"{medians[rows]:.0f}" for rows in steps]
        lines.append([operation.title, *figures, f"{grown:.2f}", MARKS[grown <= BOUND]])
    return aligned(lines)


def keep(found: Mapping[str, Medians]) -> None:
    """As JSON beside the benchmarks, as a picture beside the documentation."""
    date, on = datetime.now(UTC).date().isoformat(), machine.description()
    said = {"date": date, "machine": on, "versions": machine.versions([Digitwin])}
    rounded = {
        name: {str(rows): round(value, 1) for rows, value in medians.items()}
        for name, medians in found.items()
    }
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({**said, "median_us": rounded}, indent=1)
    (RESULTS / f"{date}-growth.json").write_text(text + "\n", "utf-8")
    growth_chart.draw(found, f"one caller; PostgreSQL 18 over its socket; {on}; {date}")


if __name__ == "__main__":
    sys.exit(main())
