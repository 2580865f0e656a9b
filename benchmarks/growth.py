"""Measure whether a call costs more in a large table than in a small one.

Each operation's median with one caller where its table has ten thousand rows, three million and,
with --ten-million, ten million; in interleaved rounds over databases side by side, unscoped and for
one person. Cached values are short, except those that are asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Final

import asyncpg
from rich.console import Console
from rich.markdown import Markdown

from benchmarks import machine, report, results, runner, sections, servers
from benchmarks.contestants import Contestant
from benchmarks.filling import TURNS, Size
from benchmarks.operations import OPERATIONS
from benchmarks.peers import PEERS
from benchmarks.runner import Pace

STEPS: Final = (10_000, 3_000_000)
FURTHER: Final = 10_000_000
MEASURED: Final = ("digitwin", "scoped")
DRAWN: Final = 200
"""Rows that are asked for at every step: as many sessions as the smallest has. The size of the
table differs then, not the number of its pages in use."""
PACE: Final = Pace(rounds=8, alone=0.15, many=0)

Medians = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Microseconds, by operation, peer and number of rows."""

console = Console(highlight=False, width=120)


def main(arguments: Sequence[str] = sys.argv[1:]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--ten-million", action="store_true", help="20 GB of disk, without fsync")
    parser.add_argument("--quick", action="store_true", help="to 100,000 rows; not kept")
    chosen = parser.parse_args(arguments)
    steps = (*STEPS, FURTHER) if chosen.ten_million else STEPS
    found = run((10_000, 100_000) if chosen.quick else steps)
    console.print(Markdown("\n".join(report.growth(found))))
    if not chosen.quick:
        keep(found)
    return 0


def run(steps: Sequence[int]) -> Medians:
    """Measure every operation at every step."""
    on_disk = steps[-1] >= FURTHER
    with ExitStack() as stack:
        to_callers = stack.enter_context(servers.cores("apart"))
        url = stack.enter_context(servers.embedded(on_disk=on_disk, fsync=not on_disk))
        to_callers()
        contestants = [each for rows in steps for each in _contestants(stack, url, rows)]
        return {name: _medians(name, contestants) for name in OPERATIONS}


def _contestants(stack: ExitStack, server: str, rows: int) -> list[Contestant]:
    """Peers on a database with so many rows in each table that an operation uses."""
    console.print(f"{rows:,} rows …")
    asyncio.run(_create(server, f"rows_{rows}"))
    url = server.replace("/postgres?", f"/rows_{rows}?")
    sessions = rows // TURNS
    size = Size(rows, sessions, sessions, rows, rows, rows, small=True, drawn=DRAWN)
    setting = asyncio.run(sections.prepared(url, None, [*OPERATIONS.values()], size))
    start = partial(sections.contestant, stack, setting=setting, uvloop=True, several=False)
    return [Contestant(f"{name} {rows}", start(name).processes) for name in MEASURED]


async def _create(server: str, name: str) -> None:
    connection = await asyncpg.connect(server)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()


def _medians(name: str, contestants: Sequence[Contestant]) -> dict[str, dict[str, float]]:
    console.print(f"  {OPERATIONS[name].title}")
    row = runner.measure(OPERATIONS[name], contestants, PACE, lambda: None)
    medians: dict[str, dict[str, float]] = {}
    for contestant, figures in row.items():
        peer, rows = contestant.split()
        medians.setdefault(peer, {})[rows] = round(figures.p50, 1)
    return medians


def keep(found: Medians) -> None:
    """Store the medians; write and draw them."""
    from benchmarks import charts  # it imports matplotlib

    date = datetime.now(UTC).date().isoformat()
    conditions = {
        "machine": machine.description(),
        "versions": machine.versions([PEERS["digitwin"]]),
    }
    stored = {"date": date, **conditions, "median_us": found}
    results.store(f"{date}-growth", stored)
    report.write()
    charts.draw(None, stored)


if __name__ == "__main__":
    sys.exit(main())
