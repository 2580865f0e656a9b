"""A network that fails when a test wants it to: a proxy in front of PostgreSQL.

Nothing here waits for a time to pass. A test holds a statement's answer, waits until the
proxy has seen it, does its worst, and lets go.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

from digitwin.kernel.connection.dsn import Target


class Hold:
    """One statement whose way the proxy blocks."""

    def __init__(self, text: bytes, *, before: bool) -> None:
        self.text = text
        self.before = before
        self.seen = asyncio.Event()
        """The client has sent it."""
        self.answered = asyncio.Event()
        """The server has answered it."""
        self._released = asyncio.Event()
        self._lost = False

    def release(self) -> None:
        """Let it through."""
        self._released.set()

    def lose(self) -> None:
        """Throw it away and cut the connection."""
        self._lost = True
        self._released.set()

    async def block(self) -> bool:
        """Wait for the test's decision; False when nothing may pass any more."""
        await self._released.wait()
        return not self._lost


class Proxy:
    """Forwards TCP connections to ``target`` while it is entered."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._links: set[_Link] = set()
        self._listener: asyncio.Server | None = None
        self._port = 0
        self._held: list[Hold] = []
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.lingering = False
        """Whether a connection that the server has ended stays open."""
        self.delay = 0.0
        """Seconds that every piece of data takes longer."""
        self.passes: int | None = None
        """Pieces of data, in both directions, that pass before every connection is reset, once."""
        self.freezes = False
        """Whether the network freezes then, instead."""
        self.piece = 65_536
        """Bytes of a piece of data at most."""

    @property
    def url(self) -> str:
        """The database behind the proxy."""
        there = replace(self._target, host="127.0.0.1", port=self._port, ssl=None, tls_keywords={})
        return f"{there.url}?sslmode=disable"

    @property
    def connections(self) -> int:
        """How many are open through it."""
        return len(self._links)

    def freeze(self) -> None:
        """Connections stay open, new ones are accepted, and nothing passes."""
        self.flowing.clear()

    def thaw(self) -> None:
        """Everything that was on its way arrives."""
        self.flowing.set()

    def cut(self) -> None:
        """Reset every connection; new ones are welcome."""
        for link in list(self._links):
            link.abort()

    def move(self, target: Target) -> None:
        """New connections lead to another server, as after a failover; open ones stay."""
        self._target = target

    def cuts_here(self) -> bool:
        """Count a piece of data; True if all connections were reset in its place.

        If the network is to freeze instead, it does so before the piece.
        """
        if self.passes is None:
            return False
        self.passes -= 1
        if self.passes >= 0:
            return False
        self.passes = None
        if self.freezes:
            self.freeze()
            return False
        self.cut()
        return True

    def hold(self, text: str, *, before: bool = False) -> Hold:
        """Block the answer to the next statement with this text in it.

        Args:
            before: block the statement itself, so that the server never sees it.
        """
        hold = Hold(text.encode(), before=before)
        self._held.append(hold)
        return hold

    def caught(self, data: bytes) -> Hold | None:
        """The hold that this piece of a client's data meets, once."""
        for hold in self._held:
            if hold.text in data:
                self._held.remove(hold)
                return hold
        return None

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To the server itself."""
        host, port = self._target.host, self._target.port
        if host is not None and host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._port = self._listener.sockets[0].getsockname()[1]
        return self

    async def listen_again(self) -> None:
        """Accept connections at the same address, after the block was left."""
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self._port)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._listener is not None
        self._listener.close()
        tasks = [link.task for link in self._links]
        for link in list(self._links):
            link.abort()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(self, reader, writer)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)


class _Link:
    """One connection from a client, and the one to the server that goes with it."""

    def __init__(
        self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self._proxy = proxy
        self._client = reader, writer
        self._hold: Hold | None = None

    def abort(self) -> None:
        self._client[1].transport.abort()
        self.task.cancel()

    async def run(self) -> None:
        with suppress(OSError, asyncio.CancelledError):
            reader, writer = await self._proxy.connect()
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._up(writer))
                    both.create_task(self._down(reader))
            except* (OSError, EOFError):
                pass
            finally:
                writer.transport.abort()
        self._client[1].transport.abort()

    async def _up(self, server: asyncio.StreamWriter) -> None:
        while data := await self._read(self._client[0]):
            hold = self._proxy.caught(data)
            if hold is not None:
                hold.seen.set()
                if not hold.before:
                    self._hold = hold
                elif not await hold.block():
                    break
            if self._proxy.cuts_here():
                break
            await self._proxy.flowing.wait()
            server.write(data)
        raise EOFError

    async def _down(self, server: asyncio.StreamReader) -> None:
        while data := await self._read(server):
            if self._hold is not None:
                self._hold.answered.set()
                if not await self._hold.block():
                    break
                self._hold = None
            if self._proxy.cuts_here():
                break
            await self._proxy.flowing.wait()
            self._client[1].write(data)
        if self._proxy.lingering:
            await asyncio.Event().wait()
        raise EOFError

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        data = await reader.read(self._proxy.piece)
        await self._proxy.flowing.wait()
        if self._proxy.delay:
            await asyncio.sleep(self._proxy.delay)
        return data
