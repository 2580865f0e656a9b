"""What other instances change, heard over a connection of its own.

News travels in the transaction that makes it true, so that it is heard for what is committed and
for nothing else, in the order of the commits. Whoever hears nothing must know it: the memory is
trusted for ``TRUST`` seconds from the moment a sign of life was asked for and then came, which
shows that all news from before that moment was heard; when the connection ends it is cleared at
once. So nothing outdated is given out longer than ``TRUST`` seconds, whatever happens to the
network.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from contextvars import Context
from typing import Any, Final
from uuid import uuid4

import asyncpg

from digitwin.cache import invalidation
from digitwin.cache.invalidation import Target
from digitwin.cache.local_cache import Memory
from digitwin.errors import DigiTwinError
from digitwin.kernel.connection import driver_errors
from digitwin.kernel.execution import opening
from digitwin.kernel.execution.core import Core
from digitwin.kernel.sql.queries import load

TRUST: Final = 5.0
"""Seconds a sign of life vouches for: the longest an instance that is cut off stays behind."""
BEAT: Final = 1.5
"""Seconds between two signs of life."""
PAUSES: Final = (0.1, 30.0)
"""Seconds before the first and the last attempts to connect again; each is twice the one before."""

_logger = logging.getLogger(__name__)
_SQL = load(__package__)

Connect = Callable[[], Awaitable[asyncpg.Connection]]


class Listener:
    """Keeps a memory in step with the database, as long as the handle is open.

    Args:
        connect: makes a connection that no pool knows.
    """

    def __init__(self, core: Core, connect: Connect, memory: Memory) -> None:
        self._core = core
        self._connect = connect
        self._memory = memory
        self._task: asyncio.Task[None] | None = None
        self._greeting = ""
        self._greeted = False

    def start(self) -> None:
        """Begin in the background, once; the task belongs to no transaction."""
        if self._task is None:
            self._task = asyncio.create_task(
                self._run(), name="digitwin cache listener", context=Context()
            )

    async def stop(self) -> None:
        """End it and close its connection; nothing is trusted after."""
        self._memory.on = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        pauses = _pauses()
        while self._memory.on:
            try:
                await self._listen()
                pauses = _pauses()
            except (DigiTwinError, *driver_errors.DRIVER) as error:
                _logger.warning("cache: the memory level waits for its listener: %s", error)
            if self._memory.on:
                await asyncio.sleep(next(pauses))

    async def _listen(self) -> None:
        """Hear until the connection ends, or find that nothing is ever heard."""
        connection = await self._connect()
        try:
            ended = await self._attend(connection)
            if await self._hears(connection):
                self._memory.clear()  # whatever was read before may have changed unheard
                await self._beat_until(ended, connection)
            else:
                self._memory.on = False
                _logger.warning(
                    "cache: no notification arrives, as behind a pooler of transactions:"
                    " the memory level stays off"
                )
        finally:
            self._distrust()
            await opening.close_once(connection)

    async def _attend(self, connection: asyncpg.Connection) -> asyncio.Event:
        """Subscribe; the event says that the connection ended."""
        ended = asyncio.Event()

        def end(connection: Any) -> None:
            self._distrust()
            ended.set()

        connection.add_termination_listener(end)
        channel = await connection.fetchval(f"SELECT {_SQL['channel']}")
        await connection.add_listener(channel, self._hear)
        return ended

    async def _hears(self, connection: asyncpg.Connection) -> bool:
        """Send a greeting by another connection and see whether it is heard on this one.

        Before the server answers a statement it has delivered what was committed before.
        """
        self._greeting, self._greeted = f"{_GREETING}{uuid4()}", False
        await self._core.aside.fetchval(_TELL, self._greeting)
        await connection.fetchval("SELECT 1")
        return self._greeted

    async def _beat_until(self, ended: asyncio.Event, connection: asyncpg.Connection) -> None:
        clock = asyncio.get_running_loop().time
        while not ended.is_set():
            asked = clock()
            await connection.fetchval("SELECT 1", timeout=TRUST)
            self._memory.trusted_until = asked + TRUST
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await ended.wait()

    def _hear(self, connection: Any, pid: int, channel: str, news: str) -> None:
        if news.startswith(_GREETING):
            self._greeted |= news == self._greeting
            return
        told = news.split(" ", 2)
        if len(told) == len(Target._fields) and told[1] in invalidation.KINDS:
            self._memory.forget(Target(*told))
        else:  # of a newer release
            self._memory.clear()

    def _distrust(self) -> None:
        self._memory.trusted_until = -math.inf
        self._memory.clear()


def _pauses() -> Iterator[float]:
    pause, longest = PAUSES
    while True:
        yield pause * random.uniform(0.5, 1)  # noqa: S311 - spreads load
        pause = min(pause * 2, longest)


_GREETING = "greeting "
_TELL = _SQL["tell"].format(channel=_SQL["channel"])
