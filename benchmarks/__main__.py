"""Measure digitwin beside what one would use instead.

The tables are printed at the end, and kept in benchmarks/results and, as pictures, in docs/images.
A run of a part, a quick one, or one on shared cores is not kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime

from rich.console import Console
from rich.markdown import Markdown

import digitwin
from benchmarks import charts, filling, machine, report, results, runner, servers
from benchmarks.operations import OPERATIONS
from benchmarks.peers import PEERS
from benchmarks.peers.base import Place
from benchmarks.recording import record
from benchmarks.results import Report, Section
from benchmarks.runner import Contestant
from benchmarks.servers import CONDITIONS, CORES, Condition

console = Console(highlight=False, width=160)


def options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="half a minute, less exact")
    for option, names in (
        ("--only", [*OPERATIONS]),
        ("--peers", [*PEERS]),
        ("--conditions", [each.name for each in CONDITIONS]),
    ):
        parser.add_argument(option, nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument(
        "--cores",
        choices=CORES,
        default="apart",
        help="caller and servers on cores of their own, all on one, or anywhere",
    )
    parser.add_argument("--runs", type=int, default=1, help="keep the median of so many runs")
    parser.add_argument("--redraw", action="store_true", help="only draw the pictures again")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] = sys.argv[1:]) -> int:
    chosen = options(arguments)
    if chosen.redraw:
        charts.draw_comparison(results.newest())
        charts.draw_growth(results.load("*-growth"))
        return 0
    conditions = [each for each in CONDITIONS if each.name in _conditions(chosen)]
    left_out = _left_out(conditions)
    runs = [
        [run(each, chosen) for each in conditions if not each.missing()] for _ in range(chosen.runs)
    ]
    sections = [results.median_of(each) for each in zip(*runs, strict=True)]
    for section in sections:
        show(section)
    for reason in left_out:
        console.print(f"Left out: {reason}")
    if _is_whole(chosen):
        keep(sections, left_out, chosen.runs)
    return 0


def _conditions(chosen: argparse.Namespace) -> list[str]:
    names = [each.name for each in CONDITIONS]
    return chosen.conditions or (names[:1] if chosen.quick else names)


def _left_out(conditions: Iterable[Condition]) -> list[str]:
    """What this machine does not have, and why."""
    left_out = [f"{each.title}: {each.missing()}" for each in conditions if each.missing()]
    no_redis = servers.without_redis()
    return [*left_out, f"throttled-py: {no_redis}"] if no_redis else left_out


def _is_whole(chosen: argparse.Namespace) -> bool:
    """Whether it measures everything, under the terms that the page names."""
    partly = chosen.quick or chosen.only or chosen.peers or chosen.conditions
    return not partly and chosen.cores == "apart"


def keep(sections: Sequence[Section], left_out: Sequence[str], runs: int) -> None:
    """Store the figures as JSON, as a page, and as pictures."""
    date = datetime.now(UTC).date().isoformat()
    versions = machine.versions(PEERS.values())
    found = Report(date, machine.description(), versions, runs, sections, left_out)
    results.store(date, asdict(found))
    report.write(found)
    charts.draw_comparison(found)


def show(section: Section) -> None:
    """Print the targets, then every peer's median and rate."""
    console.print(f"\n{section.title}, PostgreSQL {section.server}")
    for title, lines in (
        ("Against the targets", report.targets(section)),
        ("Microseconds a call, one caller", report.overview(section, "median")),
        ("Calls a second, 32 callers", report.overview(section, "rate")),
    ):
        console.print(f"\n{title}")
        console.print(Markdown("\n".join(lines)))


def run(condition: Condition, chosen: argparse.Namespace) -> Section:
    """Measure under one condition, on servers that are started for it alone."""
    console.print(f"{condition.title} …")
    with ExitStack() as stack:
        to_caller = stack.enter_context(servers.cores(chosen.cores))
        url = stack.enter_context(condition.server())
        redis = stack.enter_context(servers.redis()) if condition is CONDITIONS[0] else None
        to_caller()
        loop = stack.enter_context(condition.loop())
        return loop.run(_run(condition, chosen, url, redis))


async def _run(
    condition: Condition, chosen: argparse.Namespace, url: str, redis: str | None
) -> Section:
    size = filling.Size()
    async with digitwin.connect(url, migrate="auto") as db:
        version = (await db.health()).server_version
    await filling.fill(url, size)
    operations = [OPERATIONS[name] for name in chosen.only or OPERATIONS]
    statements = await record(Place(url), operations, size)
    pace = runner.THOROUGH if condition is CONDITIONS[0] else runner.BRIEF
    rows = {}
    for operation in operations:
        console.print(f"  {operation.title}")
        place = Place(url, operation.durable, redis, statements)
        contestants = [Contestant(name, PEERS[name], place, size) for name in chosen.peers or PEERS]
        rows[operation.name] = await runner.measure(
            operation, contestants, runner.QUICK if chosen.quick else pace
        )
    return Section(condition.name, condition.title, version or "", rows)


if __name__ == "__main__":
    sys.exit(main())
