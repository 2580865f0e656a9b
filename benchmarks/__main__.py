"""``python -m benchmarks``: see ``--help``."""

from __future__ import annotations

import argparse
import asyncio
import sys

import asyncpg

import digitwin
from benchmarks import filling, runner, servers
from benchmarks.operations import OPERATIONS
from benchmarks.peers.base import Place
from benchmarks.peers.floor import Floor
from benchmarks.peers.ours import Digitwin, Scoped
from digitwin.kernel.jsonb import dumps

PEERS = [Digitwin, Scoped, Floor]


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="some 30 seconds, less exact")
    parser.add_argument("--only", metavar="OPERATION", action="append", help="as add_turn")
    parser.add_argument("--peers", metavar="NAME,NAME", help="as digitwin,floor")
    return parser.parse_args(arguments)


async def run(url: str, chosen: argparse.Namespace) -> None:
    size = filling.Size()
    async with digitwin.connect(url, migrate="auto"):
        connection = await asyncpg.connect(**Place(url).asyncpg_arguments())
        await filling.fill(connection, size, dumps(filling.ANSWER))
        await connection.close()
    pace = runner.QUICK if chosen.quick else runner.THOROUGH
    names = chosen.peers.split(",") if chosen.peers else [peer.name for peer in PEERS]
    peers = [peer for peer in PEERS if peer.name in names]
    for operation in OPERATIONS:
        if chosen.only and operation.name not in chosen.only:
            continue
        place = Place(url, durable=operation.durable)
        found = await runner.measure(operation, peers, place, size, pace)
        floor = found["floor"].median
        for name, measured in found.items():
            sys.stdout.write(
                f"{operation.title:26} {name:10} {measured.median:8.0f} µs"
                f"  p99 {measured.p99:8.0f}  {measured.rate:8.0f}/s"
                f"  {measured.median / floor:5.2f} (target {operation.target})\n"
            )


def main() -> None:
    chosen = options(sys.argv[1:])
    with servers.embedded() as url:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            loop.run(run(url, chosen))


if __name__ == "__main__":
    main()
