"""Measure recorders: what a call takes of the event loop, and many sessions at once.

One process streams ``--sessions`` conversations, each under its own person's scope. A turn is an
utterance, figures, deltas of the twin's text at a fixed rate for two seconds, a tool call with
its result, usage, and its end. The lag of an event is the time from the call until the commit is
known. The process's time includes that of the driver, which is measured alone as well.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from heapq import heapify, heapreplace
from typing import Any, Final

import asyncpg
import uvloop

import digitwin
from benchmarks import servers
from digitwin.conversations.recorder.outbox import Outbox

RATE: Final = 20
"""Deltas a second of one session."""
DELTAS: Final = 40
"""Of one turn."""
DELTA: Final = " nine o'clock"
TICK: Final = 0.005
"""Seconds at which the driver looks who is next; a timer of uvloop's has whole milliseconds."""
WARM_UP: Final = 3.0
SINGLE: Final = 400
"""Turns whose calls are timed."""

WRITTEN: Final = """
SELECT sum(length(twin_text)) AS characters, count(*) AS turns,
       count(DISTINCT (session_id, position)) AS places
FROM conversation_turns WHERE session_id = ANY($1)
"""
TABLES: Final = """
SELECT relname, n_tup_ins, n_tup_upd, n_tup_hot_upd, pg_total_relation_size(relid) AS bytes
FROM pg_stat_user_tables
WHERE relname IN ('conversation_turns', 'session_writers', 'conversation_sessions')
ORDER BY relname
"""


class Nothing:
    """A recorder that does nothing: what is left is the driver's own time."""

    def __getattr__(self, name: str) -> Any:
        return _nothing


def _nothing(*_: object, **__: object) -> None:
    return None


@dataclass
class Measured:
    """What was found while the sessions streamed."""

    lags: list[float] = field(default_factory=list)
    flushes: int = 0
    seconds: float = 0.0
    client: float = 0.0
    server: float = 0.0
    calls: int = 0
    late: float = 0.0
    """Seconds by which the driver was behind at most: the machine was busy with other things."""


class Session:
    """One conversation: called again and again, it does the next thing."""

    def __init__(self, recorder: Any) -> None:
        self.recorder = recorder
        self._step = random.randrange(DELTAS)
        self.deltas = 0
        if self._step:
            self._begin()

    def _begin(self) -> None:
        self.recorder.user_text("When are you open?", language="en")
        self.recorder.stage("asr", 81.5)
        self.recorder.stage("llm_first_token", 210)
        call = self.recorder.tool_call("hours", {"day": "monday"}) or "call"
        self.recorder.tool_result(call, {"from": "09:00", "to": "17:00"})

    def _end(self) -> None:
        self.recorder.usage(kind="llm", model="some-model", input_tokens=812, output_tokens=40)
        self.recorder.stage("total", 2450)
        self.recorder.turn_done()

    def __call__(self) -> None:
        if self._step == 0:
            self._begin()
        self.recorder.twin_text(DELTA)
        self.deltas += 1
        self._step = (self._step + 1) % DELTAS
        if self._step == 0:
            self._end()


async def drive(sessions: Sequence[Session], seconds: float, found: Measured) -> None:
    """Call each session ``RATE`` times a second, out of step with each other."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    due = [(began + random.random() / RATE, n) for n in range(len(sessions))]
    heapify(due)
    while (now := loop.time()) < began + seconds:
        while due[0][0] <= now:
            when, n = due[0]
            found.late = max(found.late, now - when)
            sessions[n]()
            found.calls += 1
            heapreplace(due, (when + 1 / RATE, n))
        await asyncio.sleep(TICK)


def watch(found: Measured) -> None:
    """Note the lag of the oldest event of each batch that is stored."""
    store = Outbox._store

    async def stored(self: Outbox, batch: Any) -> None:
        await store(self, batch)
        found.lags.append(self._clock() - batch[0].since)
        found.flushes += 1

    Outbox._store = stored  # type: ignore[method-assign]


async def stream(url: str, sessions: int, seconds: float, fillfactor: int | None) -> Measured:
    """Stream many sessions; return what was found after a warm-up."""
    found = Measured()
    raw = await asyncpg.connect(url)
    parent = servers.postmaster(await raw.fetchval("SELECT pg_backend_pid()"))
    async with digitwin.connect(url, migrate="auto") as db, AsyncExitStack() as stack:
        if fillfactor is not None:
            await raw.execute(f"ALTER TABLE conversation_turns SET (fillfactor = {fillfactor})")
        recorders = []
        for n in range(sessions):
            user = await db.users.create(email=f"{digitwin.uuid7()}@example.com", name=f"{n}")
            session = await db.sessions.start(user.id)
            recorders.append(
                await stack.enter_async_context(db.for_user(user.id).recorder(session.id))
            )
        live = [Session(recorder) for recorder in recorders]
        await drive(live, WARM_UP, Measured())
        wal = await raw.fetchval("SELECT pg_current_wal_insert_lsn()")
        watch(found)
        client, server, began = time.process_time(), _server(parent), time.perf_counter()
        await drive(live, seconds, found)
        found.seconds = time.perf_counter() - began
        found.client = time.process_time() - client
        found.server = _server(parent) - server
        written = await raw.fetchval("SELECT pg_current_wal_insert_lsn() - $1::pg_lsn", wal)
        await stack.aclose()
        assert all(not recorder.dropped and not recorder.buffered for recorder in recorders)
    row = await raw.fetchrow(WRITTEN, [recorder.session_id for recorder in recorders])
    assert row["characters"] == len(DELTA) * sum(each.deltas for each in live)
    assert row["turns"] == row["places"]
    print(f"WAL {float(written) / 2**20 / found.seconds:.2f} MiB/s")
    await asyncio.sleep(1)  # backends report their counts when they end
    for table in await raw.fetch(TABLES):
        print(
            f"{table['relname']}: {table['n_tup_upd']} updates, {table['n_tup_hot_upd']} of them"
            f" HOT ({table['n_tup_hot_upd'] / max(1, table['n_tup_upd']):.1%}),"
            f" {table['bytes'] / 2**20:.1f} MiB for {table['n_tup_ins']} rows"
        )
    await raw.close()
    return found


def _server(parent: int | None) -> float:
    return 0.0 if parent is None else servers.cpu_seconds(parent) or 0.0


async def drive_alone(sessions: int, seconds: float) -> float:
    """Return the share of a core that the driver takes with recorders that do nothing."""
    live, began = [Session(Nothing()) for _ in range(sessions)], time.process_time()
    await drive(live, seconds, Measured())
    return (time.process_time() - began) / seconds


async def take_calls(url: str) -> list[float]:
    """Return the milliseconds that the 50 calls of a turn take, turn by turn."""
    async with digitwin.connect(url, migrate="auto") as db:
        user = await db.users.create(email=f"{digitwin.uuid7()}@example.com", name="calls")
        session = await db.sessions.start(user.id)
        times = []
        async with db.for_user(user.id).recorder(session.id) as recorder:
            live = Session(recorder)
            for _ in range(SINGLE):
                began = time.perf_counter()
                for _ in range(DELTAS):
                    live()
                times.append((time.perf_counter() - began) * 1000)
                await recorder.drain()
    return sorted(times)


def main(arguments: Sequence[str] = sys.argv[1:]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live_sessions", description=__doc__)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--fillfactor", type=int, help="of conversation_turns, to compare")
    parser.add_argument("--url", help="an empty database; by default a server of its own")
    chosen = parser.parse_args(arguments)
    if chosen.url:
        measure(chosen.url, chosen)
        return 0
    with servers.embedded() as url:
        measure(url, chosen)
    return 0


def measure(url: str, chosen: argparse.Namespace) -> None:
    times = uvloop.run(take_calls(url))
    print(f"50 calls of a turn: {_percentiles(times)} ms of the event loop")
    alone = uvloop.run(drive_alone(chosen.sessions, 5.0))
    found = uvloop.run(stream(url, chosen.sessions, chosen.seconds, chosen.fillfactor))
    lags = sorted(lag * 1000 for lag in found.lags)
    print(
        f"{chosen.sessions} sessions: {found.calls / found.seconds:.0f} deltas/s,"
        f" {found.flushes / found.seconds:.0f} statements/s\n"
        f"client {found.client / found.seconds:.1%} of a core ({alone:.1%} without recorders),"
        f" server {found.server / found.seconds:.1%}\n"
        f"lag {_percentiles(lags)} ms; the driver was {found.late * 1000:.0f} ms late at most"
    )


def _percentiles(times: Sequence[float]) -> str:
    chosen = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    last = len(times) - 1
    return ", ".join(f"{name} {times[round(part * last)]:.2f}" for name, part in chosen.items())


if __name__ == "__main__":
    sys.exit(main())
