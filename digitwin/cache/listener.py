"""Receives other instances' invalidations over a connection of its own.

A notification travels in the transaction that makes the change: it arrives for committed changes
only, and in commit order. An instance must notice when notifications stop arriving. The local
cache is therefore trusted for ``TRUST`` seconds from the moment a heartbeat was sent that was
answered: the answer shows that every notification from before that moment has arrived. When the
connection ends the cache is cleared at once. So no outdated value is served for longer than
``TRUST`` seconds, whatever happens to the network.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

import asyncpg

from digitwin.cache import invalidation
from digitwin.cache.invalidation import InvalidationTarget
from digitwin.cache.local_cache import LocalCache
from digitwin.cache.locks import Connect
from digitwin.errors import DigiTwinError, ReadOnlyServerError
from digitwin.kernel.connection import driver_errors
from digitwin.kernel.execution import opening
from digitwin.kernel.execution.background import NEVER, BackgroundTask
from digitwin.kernel.execution.core import Core
from digitwin.kernel.sql.queries import Queries

TRUST: Final = 5.0
"""Seconds a heartbeat vouches for: how long an instance that is cut off may serve old values."""
HEARTBEAT: Final = 1.5
"""Seconds between two heartbeats."""
BACKOFF: Final = (0.1, 30.0)
"""Seconds before the first attempt to reconnect, and at most; each is twice the one before."""

QUERIES = Queries(__package__)

_HEARTBEAT: Final = "SHOW transaction_read_only"
_PROBE_PREFIX: Final = "greeting "
_logger = logging.getLogger(__name__)


class Listener:
    """Keeps a local cache in step with the database while the handle is open.

    Args:
        connect: opens a connection outside any pool.
    """

    def __init__(self, core: Core, connect: Connect, local: LocalCache) -> None:
        self._core = core
        self._connect = connect
        self._local = local
        self._backoff = _backoff()
        self._task = BackgroundTask(self._run, name="cache listener", logger=_logger, first=0.0)
        self._probe = ""
        self._probe_arrived = False

    def start(self) -> None:
        """Begin to listen in the background, unless it does already."""
        self._task.start()

    async def stop(self) -> None:
        """Stop listening and close the connection; the cache is not trusted afterwards."""
        self._local.on = False
        await self._task.stop()

    async def _run(self) -> float:
        try:
            await self._listen()
            self._backoff = _backoff()
        except (DigiTwinError, *driver_errors.DRIVER) as error:
            _logger.warning("cache: the local cache waits for its listener: %s", error)
        return next(self._backoff) if self._local.on else NEVER

    async def _listen(self) -> None:
        """Listen until the connection ends, or find that no notification arrives."""
        connection = await self._connect()
        try:
            ended = await self._subscribe(connection)
            if await self._delivers(connection):
                self._local.clear()  # what was read before may have changed unnoticed
                await self._heartbeat_until(ended, connection)
            else:
                self._local.on = False
                _logger.warning(
                    "cache: no notification arrives, as behind a transaction pooler:"
                    " the local cache stays off"
                )
        finally:
            self._distrust()
            await opening.close_once(connection)

    async def _subscribe(self, connection: asyncpg.Connection) -> asyncio.Event:
        """Subscribe; return an event that is set when the connection ends."""
        ended = asyncio.Event()

        def end(connection: Any) -> None:
            self._distrust()
            ended.set()

        connection.add_termination_listener(end)
        channel = await connection.fetchval(QUERIES["channel_name"].sql)
        await connection.add_listener(channel, self._on_notification)
        return ended

    async def _delivers(self, connection: asyncpg.Connection) -> bool:
        """Send a probe over another connection; return whether it arrives on this one.

        Before the server answers a statement it delivers what was committed before.
        """
        self._probe, self._probe_arrived = f"{_PROBE_PREFIX}{uuid4()}", False
        await self._core.aside.fetchval(QUERIES["notify"], payload=self._probe)
        await connection.fetchval("SELECT 1")
        return self._probe_arrived

    async def _heartbeat_until(self, ended: asyncio.Event, connection: asyncpg.Connection) -> None:
        clock = asyncio.get_running_loop().time
        while not ended.is_set():
            sent = clock()
            if await connection.fetchval(_HEARTBEAT, timeout=TRUST) == "on":
                self._require_writable()
            self._local.trusted_until = sent + TRUST
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT):
                    await ended.wait()

    def _require_writable(self) -> None:
        """Raise on a server that accepts no writes: after a failover others write elsewhere."""
        if not self._core.reads_only:
            raise ReadOnlyServerError

    def _on_notification(self, connection: Any, pid: int, channel: str, payload: str) -> None:
        if payload.startswith(_PROBE_PREFIX):
            self._probe_arrived |= payload == self._probe
            return
        parts = payload.split(" ", 2)
        if len(parts) == len(InvalidationTarget._fields) and parts[1] in invalidation.KINDS:
            self._local.invalidate(InvalidationTarget(*parts))
        else:  # from a newer release
            self._local.clear()

    def _distrust(self) -> None:
        self._local.trusted_until = -math.inf
        self._local.clear()


def _backoff() -> Iterator[float]:
    pause, longest = BACKOFF
    while True:
        yield pause * random.uniform(0.5, 1)  # noqa: S311 - spreads load
        pause = min(pause * 2, longest)
