"""Measure digitwin beside what one would take instead.

The table comes at the end, and is kept in benchmarks/results and, as pictures, in docs/images.
With only some of it chosen, in a hurry or on shared cores, nothing is kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

import asyncpg

import digitwin
from benchmarks import charts, cores, filling, machine, report, results, runner, servers, terminal
from benchmarks.conditions import CONDITIONS, Condition
from benchmarks.operations import OPERATIONS, Operation
from benchmarks.peers import PEERS
from benchmarks.peers.base import Peer, Place
from benchmarks.results import Section
from benchmarks.runner import Contestant, Pace
from benchmarks.terminal import say


def options(arguments: Sequence[str]) -> argparse.Namespace:
    names = [operation.name for operation in OPERATIONS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="half a minute, less exact")
    parser.add_argument(
        "--only", metavar="OPERATION", action="append", choices=names, help=", ".join(names)
    )
    _add_list(parser, "--peers", [peer.name for peer in PEERS])
    _add_list(parser, "--conditions", [condition.name for condition in CONDITIONS])
    parser.add_argument(
        "--cores",
        choices=cores.WAYS,
        default="apart",
        help="caller and servers on cores of their own, all on one, or anywhere",
    )
    parser.add_argument("--runs", type=int, default=1, help="keep the median of so many runs")
    return parser.parse_args(arguments)


def _add_list(parser: argparse.ArgumentParser, option: str, names: Sequence[str]) -> None:
    """Names with commas between them; None when the option is left out."""

    def parsed(text: str) -> list[str]:
        chosen = text.split(",")
        for name in chosen:
            if name not in names:
                raise argparse.ArgumentTypeError(f"there is no {name!r}")
        return chosen

    parser.add_argument(option, metavar="NAME,…", type=parsed, help=", ".join(names))


def main(arguments: Sequence[str] = sys.argv[1:]) -> int:
    chosen = options(arguments)
    conditions = _conditions(chosen)
    left_out = _left_out(conditions)
    runs = [
        [run(each, chosen) for each in conditions if not each.missing()] for _ in range(chosen.runs)
    ]
    sections = [results.middle(each) for each in zip(*runs, strict=True)]
    for section in sections:
        say(terminal.table(section))
    for reason in left_out:
        say(f"Left out: {reason}")
    if _is_whole(chosen):
        keep(sections, left_out, chosen.runs)
    return 0


def _left_out(conditions: Sequence[Condition]) -> list[str]:
    """What cannot be had on this machine, and why."""
    left_out = [f"{each.title}: {each.missing()}" for each in conditions if each.missing()]
    no_redis = servers.without_redis()
    return [*left_out, f"the peers on Redis: {no_redis}"] if no_redis else left_out


def _is_whole(chosen: argparse.Namespace) -> bool:
    """Whether it is a run to keep: everything, under the terms that the report names."""
    partly = chosen.quick or chosen.only or chosen.peers or chosen.conditions
    return not partly and chosen.cores == "apart"


def keep(sections: Sequence[Section], left_out: Sequence[str], runs: int) -> None:
    """Write everything down."""
    date = datetime.now(UTC).date().isoformat()
    made = report.Report(
        date=date,
        machine=machine.description(),
        versions=machine.versions(PEERS),
        runs=runs,
        sections=sections,
        left_out=left_out,
    )
    report.write(made)
    first = sections[0]
    charts.draw(first, f"{first.title}, PostgreSQL {first.server}; {made.machine}; {date}")


def run(condition: Condition, chosen: argparse.Namespace) -> Section:
    """Everything under one condition, on servers that are there for it alone."""
    say(f"{condition.title} …")
    with ExitStack() as stack:
        stack.enter_context(cores.given_back())
        with cores.for_servers(chosen.cores):
            url = stack.enter_context(condition.server())
            redis = stack.enter_context(servers.redis())
        loop = stack.enter_context(condition.loop())
        return loop.run(_run(condition, chosen, url, redis))


async def _run(
    condition: Condition, chosen: argparse.Namespace, url: str, redis: str | None
) -> Section:
    size, pace = filling.Size(), _pace(condition, chosen)
    version = await _prepare(url, size)
    peers = _peers(condition, chosen)
    rows = {}
    for operation in _operations(chosen):
        say(f"  {operation.title}")
        place = Place(url, durable=operation.durable, redis=redis)
        contestants = [Contestant(peer.name, peer, place, size) for peer in peers]
        rows[operation.name] = results.row(await runner.measure(operation, contestants, pace))
    return Section(condition.name, condition.title, version, rows)


async def _prepare(url: str, size: filling.Size) -> str:
    """A migrated, filled database; the server's version."""
    async with digitwin.connect(url, migrate="auto") as db:
        version = (await db.health()).server_version
    connection = await asyncpg.connect(**Place(url).asyncpg_arguments())
    try:
        await filling.fill(connection, size)
    finally:
        await connection.close()
    return version or ""


def _pace(condition: Condition, chosen: argparse.Namespace) -> Pace:
    if chosen.quick:
        return runner.QUICK
    return runner.THOROUGH if condition.peers is None else runner.BRIEF


def _conditions(chosen: argparse.Namespace) -> list[Condition]:
    if chosen.conditions:
        return [each for each in CONDITIONS if each.name in chosen.conditions]
    return CONDITIONS[:1] if chosen.quick else CONDITIONS


def _operations(chosen: argparse.Namespace) -> list[Operation]:
    return [each for each in OPERATIONS if not chosen.only or each.name in chosen.only]


def _peers(condition: Condition, chosen: argparse.Namespace) -> list[type[Peer]]:
    names = chosen.peers or condition.peers
    return [peer for peer in PEERS if names is None or peer.name in names]


if __name__ == "__main__":
    sys.exit(main())
