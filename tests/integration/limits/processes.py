"""Starts processes such as :mod:`tests.integration.limits.worker`, all at once, and counts."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.checkout import TOP

WORKER = "tests.integration.limits.worker"


@asynccontextmanager
async def workers(
    url: str, processes: int, *, tasks: int, worker: str = WORKER, **options: Any
) -> AsyncIterator[list[Process]]:
    """So many of them, each ready to ask ``tasks`` times at once."""
    arguments = ("-m", worker, url, str(tasks), json.dumps(options))
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, *arguments, cwd=TOP, stdin=PIPE, stdout=PIPE
        )
        for _ in range(processes)
    ]
    try:
        async with asyncio.timeout(60):
            assert [await process.stdout.readexactly(1) for process in started if process.stdout]
            yield started
    finally:
        for process in started:
            if process.returncode is None:
                process.kill()
            await process.communicate()


def go(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")


async def allowed(process: Process) -> int:
    """How many calls it was allowed by the time it ended, in whatever way."""
    said, _ = await process.communicate()
    return said.count(b"+")
