"""A pooler that runs messages sent together in separate transactions, as none should."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.connection.wire import SYNC

_EXECUTE, _READY = b"E", b"Z"


class SeparatingPooler:
    """Sends a Sync of its own after each Execute that has none, and keeps its answer."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._links: set[asyncio.Task[None] | None] = set()
        self.asked: Counter[bytes] = Counter()
        """How often clients waited for an answer: to a query, or to a Sync."""
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._links.add(asyncio.current_task())
        there = await asyncio.open_unix_connection(
            f"{self._target.host}/.s.PGSQL.{self._target.port}"
        )
        kept: list[None] = []
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                size = await reader.readexactly(4)
                there[1].write(size + await reader.readexactly(int.from_bytes(size) - 4))
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._up(reader, there[1], kept))
                    both.create_task(self._down(there[0], writer, kept))
        except* (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            there[1].transport.abort()
            writer.transport.abort()

    async def _up(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, kept: list[None]
    ) -> None:
        last = b""
        while True:
            kind, message = await _message(reader)
            if last == _EXECUTE and message != SYNC:
                kept.append(None)
                server.write(SYNC)
            if kind == b"Q" or message == SYNC:
                self.asked[kind] += 1
            server.write(message)
            last = kind

    async def _down(
        self, server: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: list[None]
    ) -> None:
        while True:
            kind, message = await _message(server)
            if kind == _READY and kept:
                kept.pop()
                continue
            writer.write(message)

    async def end(self) -> None:
        """End every connection."""
        tasks = [task for task in self._links if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind, size = await reader.readexactly(1), await reader.readexactly(4)
    return kind, kind + size + await reader.readexactly(int.from_bytes(size) - 4)


@asynccontextmanager
async def in_front_of(target: Target) -> AsyncIterator[SeparatingPooler]:
    """A pooler in front of this server's socket, for as long as the block lasts."""
    pooler = SeparatingPooler(target)
    async with await asyncio.start_server(pooler.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        there = replace(target, host="127.0.0.1", port=port, ssl=None, tls_keywords={})
        pooler.url = f"{there.url}?sslmode=disable"
        try:
            yield pooler
        finally:
            await pooler.end()
