"""First use: from the start of a process to its first result, on a server that is running."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

import digitwin
from benchmarks.results import Start, middle

ROUNDS: Final = 9

_DIGITWIN: Final = """
import asyncio, sys, time
from digitwin import connect  # imports what it needs, which `import digitwin` does not

async def main():
    began = time.perf_counter()
    db = await connect(sys.argv[1])
    took = time.perf_counter() - began
    await db.users.find_by_email("user-1@example.com")
    print(took * 1000, flush=True)
    await db.close()

asyncio.run(main())
"""

_ASYNCPG: Final = """
import asyncio, sys, time
import asyncpg

async def main():
    began = time.perf_counter()
    connection = await asyncpg.connect(sys.argv[1])
    took = time.perf_counter() - began
    await connection.fetchrow("SELECT * FROM user_emails e JOIN users u ON u.id = e.user_id "
                              "WHERE e.address = $1", "user-1@example.com")
    print(took * 1000, flush=True)
    await connection.close()

asyncio.run(main())
"""

PROGRAMS: Final[Mapping[str, Sequence[str]]] = {
    "digitwin": [sys.executable, "-c", _DIGITWIN],
    "floor": [sys.executable, "-c", _ASYNCPG],
}
"""Each prints how many milliseconds connecting took when it has its first result."""


def measure(url: str) -> dict[str, Start]:
    """Start each program in turn, round after round; the first round is not counted."""
    asyncio.run(_upgrade(url))
    rounds = [
        {name: _start(program, url) for name, program in PROGRAMS.items()}
        for _ in range(ROUNDS + 1)
    ]
    return {name: middle([each[name] for each in rounds[1:]]) for name in PROGRAMS}


async def _upgrade(url: str) -> None:
    async with digitwin.connect(url, migrate="auto"):
        pass


def _start(program: Sequence[str], url: str) -> Start:
    # As installed: with bytecode, which the round that is not counted writes
    compiled = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    with subprocess.Popen(
        [*program, url], stdout=subprocess.PIPE, text=True, env=compiled
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        took = time.perf_counter() - began
    return Start(took, float(line))
