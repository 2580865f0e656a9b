"""Measure digitwin beside what one would use instead.

The tables are printed at the end. With --keep they are kept: in benchmarks/results, in the README,
and as pictures in docs/images.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from rich.console import Console
from rich.markdown import Markdown

from benchmarks import machine, node, report, results, runner, sections, servers, starting
from benchmarks.operations import ALL, OPERATIONS
from benchmarks.peers import PEERS
from benchmarks.results import Report, Section, Start
from benchmarks.runner import Pace
from benchmarks.servers import CONDITIONS, Condition

console = Console(highlight=False, width=200)

RUNS = 3
"""Runs whose median is kept, unless told otherwise; the page says how many they were."""


def options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for option, names in (
        ("--only", [*OPERATIONS]),
        ("--peers", [*PEERS]),
        ("--conditions", [each.name for each in CONDITIONS]),
    ):
        parser.add_argument(option, nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="one condition, few rounds")
    parser.add_argument("--runs", type=int, help="the median of so many runs")
    parser.add_argument("--keep", action="store_true", help=f"all of it, stored; {RUNS} runs")
    parser.add_argument("--redraw", action="store_true", help="write what is stored once more")
    chosen = parser.parse_args(arguments)
    if chosen.keep and (chosen.quick or chosen.only or chosen.peers or chosen.conditions):
        parser.error("only a whole run is kept")
    return chosen


def main(arguments: Sequence[str] = sys.argv[1:]) -> int:
    chosen = options(arguments)
    if chosen.redraw:
        write()
        return 0
    found = measure(chosen)
    show(found)
    if chosen.keep:
        results.store(found.date, results.stored_form(found))
        write()
    return 0


def measure(chosen: argparse.Namespace) -> Report:
    """Measure everything that is asked for and is there, run after run."""
    count = chosen.runs or (RUNS if chosen.keep else 1)
    names = chosen.conditions or [each.name for each in CONDITIONS[: 1 if chosen.quick else None]]
    wanted = [each for each in CONDITIONS if each.name in names]
    there = [each for each in wanted if not each.missing()]
    runs = [[_section(each, chosen) for each in there] for _ in range(count)]
    missing = {each.title: each.missing() for each in wanted}
    missing |= {"throttled-py": servers.without_redis(), "node-pg": node.missing()}
    return Report(
        datetime.now(UTC).date().isoformat(),
        machine.description(),
        machine.versions(PEERS.values()),
        count,
        [results.median_of(sections) for sections in zip(*runs, strict=True)],
        {} if chosen.quick or chosen.only else _starts(),
        [f"{title}: {reason}" for title, reason in missing.items() if reason],
    )


def _section(condition: Condition, chosen: argparse.Namespace) -> Section:
    console.print(f"{condition.title} …")
    operations = [OPERATIONS[name] for name in chosen.only or OPERATIONS]
    peers = chosen.peers or [*PEERS]
    return sections.measure(condition, operations, peers, _pace(condition, chosen), console.print)


def _pace(condition: Condition, chosen: argparse.Namespace) -> Pace:
    if condition.on_disk:
        return runner.ON_DISK
    if chosen.quick:
        return runner.QUICK
    return runner.BRIEF if condition.is_brief else runner.THOROUGH


def _starts() -> dict[str, Start]:
    console.print("First use …")
    with ExitStack() as stack:
        to_callers = stack.enter_context(servers.cores("apart"))
        url = stack.enter_context(servers.embedded())
        to_callers()
        return starting.measure(url)


def write() -> None:
    """Write the page, the README's part and the pictures of what is stored."""
    from benchmarks import charts  # it imports matplotlib

    report.write()
    charts.draw(results.newest(), results.newest_growth())


def show(found: Report) -> None:
    """Print every peer's median and rate, then the targets."""
    for section in found.sections:
        callers = max(ALL[name].callers for name in section.rows)
        console.print(f"\n{section.title}, PostgreSQL {section.server}")
        for lines in (
            report.overview(section, "p50", "µs a call, one caller", [*PEERS]),
            report.overview(section, "rate", f"calls/s, {callers} callers", [*PEERS]),
            report.overview(section, "client_cpu", "client's CPU s for 1,000 calls", [*PEERS]),
            report.overview(section, "server_cpu", "server's CPU s for 1,000 calls", [*PEERS]),
            report.overview(section, "rate_4x8", "calls/s, 4 × 8 callers", [*PEERS]),
            report.targets(section),
            report.failures(results.of_section(section)),
        ):
            console.print(Markdown("\n".join(lines)))
    if found.starts:
        console.print("\nFirst use")
        console.print(Markdown("\n".join(report.starts(found))))
    for reason in found.left_out:
        console.print(f"Left out: {reason}")


if __name__ == "__main__":
    sys.exit(main())
