"""One condition measured: its servers, its rows, the processes of the peers, and the rounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import asyncpg

import digitwin
from benchmarks import filling, node, runner, servers
from benchmarks.contestants import Contestant, Process, PythonProcess
from benchmarks.filling import Size
from benchmarks.operations import ONE_SESSION, PROCESSES, Operation, one_session
from benchmarks.peers import NODE, PEERS
from benchmarks.peers.base import Place
from benchmarks.recording import record
from benchmarks.results import Row, Section
from benchmarks.runner import Clock, Pace
from benchmarks.servers import Condition

ON_DISK: Sequence[str] = ("digitwin", "scoped", "floor", NODE)
"""The peers that write to one session."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Setting:
    """Where contestants meet: servers with rows, and what digitwin sends them."""

    place: Place
    size: Size
    version: str
    clock: Clock


def measure(
    condition: Condition,
    operations: Sequence[Operation],
    peers: Sequence[str],
    pace: Pace,
    say: Say,
) -> Section:
    """Measure under one condition, on servers that are started for it alone."""
    size = Size()
    if condition.on_disk:
        operations, size = [ONE_SESSION], Size(users=100, sessions=100, embeddings=1, responses=1)
    with ExitStack() as stack:
        to_callers = stack.enter_context(servers.cores(condition.cores))
        url = stack.enter_context(condition.server())
        redis = stack.enter_context(servers.redis()) if not condition.is_brief else None
        to_callers()
        setting = asyncio.run(prepared(url, redis, operations, size))
        there = [name for name in peers if _is_there(name, setting, condition)]
        contestants = [
            contestant(stack, name, setting, uvloop=condition.uvloop, several=pace.several > 0)
            for name in there
        ]
        rows: dict[str, Row] = {}
        for operation in operations:
            say(f"  {operation.title}")
            rows[operation.name] = runner.measure(operation, contestants, pace, setting.clock)
        if condition.on_disk:
            asyncio.run(_check_one_session(url, size))
    return Section(condition.name, condition.title, setting.version, rows)


def _is_there(name: str, setting: Setting, condition: Condition) -> bool:
    if condition.on_disk and name not in ON_DISK:
        return False
    if name == NODE:
        return node.missing() is None
    return setting.place.redis is not None or name != "throttled"


async def prepared(
    url: str, redis: str | None, operations: Sequence[Operation], size: Size
) -> Setting:
    """Make the schema and the rows, and record what digitwin sends."""
    async with digitwin.connect(url, migrate="auto") as db:
        version = (await db.health()).server_version or ""
    await filling.fill(url, size)
    connection = await asyncpg.connect(url)
    parent = servers.postmaster(await connection.fetchval("SELECT pg_backend_pid()"))
    await connection.close()
    clock: Clock = partial(servers.cpu_seconds, parent) if parent else lambda: None
    statements = await record(Place(url), operations, size)
    return Setting(Place(url, redis=redis, statements=statements), size, version, clock)


def contestant(
    stack: ExitStack, name: str, setting: Setting, *, uvloop: bool, several: bool
) -> Contestant:
    """Start the processes of a peer; they end with the stack."""
    count = PROCESSES if several and PEERS[name].several else 1
    processes: list[Process] = []
    for part in range(count):
        where = setting.place, setting.size, part
        each: Process = (
            node.NodeProcess(*where) if name == NODE else PythonProcess(name, *where, uvloop=uvloop)
        )
        stack.callback(each.close)
        processes.append(each)
    return Contestant(name, processes)


async def _check_one_session(url: str, size: Size) -> None:
    """Positions go from 1 to the session's count, without a gap."""
    connection = await asyncpg.connect(url)
    try:
        user_id, session_id = one_session(size)
        first, last, turns, counted = await connection.fetchrow(
            "SELECT min(position), max(position), count(*), min(turn_count)"
            " FROM conversation_turns AS turn JOIN conversation_sessions AS session"
            " ON session.user_id = turn.user_id AND session.id = turn.session_id"
            " WHERE turn.user_id = $1 AND session_id = $2",
            user_id,
            session_id,
        )
    finally:
        await connection.close()
    if not first == 1 or not last == turns == counted:
        raise AssertionError(f"positions {first} to {last} of {turns} turns, counted {counted}")
