"""A server of any version, as far as a start-up goes: it greets, says its version, and hangs up."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SSL_REQUEST = 80877103
PARAMETERS = {
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "integer_datetimes": "on",
    "standard_conforming_strings": "on",
    "TimeZone": "UTC",
}


@asynccontextmanager
async def greeting_server(version: str) -> AsyncIterator[str]:
    """The URL of a server that calls itself ``version``."""

    greeted: set[asyncio.Task[None] | None] = set()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeted.add(asyncio.current_task())
        await _start_up_message(reader, writer)
        writer.write(_greeting(version))
        await reader.read(1)
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"postgresql://ada:secret@127.0.0.1:{port}/twins"
    await asyncio.wait([task for task in greeted if task])


async def _start_up_message(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        length, code = struct.unpack("!II", await reader.readexactly(8))
        await reader.readexactly(length - 8)
        if code != SSL_REQUEST:
            return
        writer.write(b"N")


def _greeting(version: str) -> bytes:
    said = PARAMETERS | {"server_version": version}
    return b"".join(
        [
            _message(b"R", struct.pack("!I", 0)),
            *(_message(b"S", f"{name}\0{value}\0".encode()) for name, value in said.items()),
            _message(b"K", struct.pack("!II", 1, 1)),
            _message(b"Z", b"I"),
        ]
    )


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body
