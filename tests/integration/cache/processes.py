"""Starts :mod:`tests.integration.cache.worker`, and hears what it says."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from tests.support.checkout import TOP

BOUND = 60
"""Seconds, for machines that have much else to do."""


class Worker:
    """A process that asks when it is told to."""

    def __init__(self, process: Process) -> None:
        self.process = process

    async def hears(self, said: bytes) -> None:
        """Return once it has said this next."""
        assert self.process.stdout is not None
        async with asyncio.timeout(BOUND):
            assert await self.process.stdout.readexactly(len(said)) == said

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")

    def kill(self) -> None:
        self.process.kill()

    async def rest(self) -> bytes:
        """What it says until it ends, in whatever way."""
        async with asyncio.timeout(BOUND):
            said, _ = await self.process.communicate()
        return said


@asynccontextmanager
async def worker(url: str, **options: Any) -> AsyncIterator[Worker]:
    """One, ready to ask."""
    arguments = ("-m", "tests.integration.cache.worker", url, json.dumps(options))
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=TOP, stdin=PIPE, stdout=PIPE
    )
    started = Worker(process)
    try:
        await started.hears(b"r")
        yield started
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def workers(url: str, count: int, **options: Any) -> AsyncIterator[list[Worker]]:
    """Several, alike."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(worker(url, **options)) for _ in range(count)]
