"""A message in front of a statement's own, in the same write and so in the same transaction.

Asyncpg ends each statement with Sync, and PostgreSQL commits at Sync. What is sent before a
statement without a Sync of its own therefore belongs to its implicit transaction: a scope needs no
BEGIN and COMMIT, which are two more round trips.

The bytes are joined by the connection's transport in the one write that asyncpg makes for a
statement. Until that write they are nowhere else, so a statement whose arguments cannot be encoded
leaves nothing behind. If asyncpg writes anything but the expected statement, the connection is
aborted and nothing is sent: a statement never runs without what belongs in front of it.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from typing import Any, Final

import asyncpg

_TESTED = "0.32."
FITS: Final = asyncpg.__version__.startswith(_TESTED)
"""Whether this is an asyncpg that is known to write a statement's messages in one piece."""

_BIND: Final = b"B"
SYNC: Final = b"S\0\0\0\x04"
_HEADER: Final = 5
"""Bytes of a message before its content: its type and its length."""


class Transport:
    """The transport of one connection; everything but an armed ``write`` is the real one's.

    Args:
        real: the transport that asyncio made.
    """

    __slots__ = ("_head", "_prefix", "_real", "write")

    write: Callable[[Any], None]

    def __init__(self, real: Any) -> None:
        self._real = real
        self.write = real.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def arm(self, prefix: bytes, head: bytes) -> None:
        """Send ``prefix`` in front of the next write, which must be the statement of ``head``.

        Args:
            prefix: messages without a Sync.
            head: how the content of the statement's Bind begins, from :func:`head_of`.
        """
        self._prefix, self._head = prefix, head
        self.write = self._write_behind

    def disarm(self) -> None:
        """Forget a prefix that was not sent."""
        self.write = self._real.write

    def writelines(self, pieces: Any) -> None:
        """Write them in one piece, so that an armed ``write`` is not passed by."""
        self.write(b"".join(pieces))

    def _write_behind(self, data: Any) -> None:
        self.write = self._real.write
        packet = b"".join((self._prefix, data))  # the one copy, since documents are large
        at = len(self._prefix)
        whole = packet.startswith(_BIND, at) and packet.endswith(SYNC)
        if not whole or not packet.startswith(self._head, at + _HEADER):
            self._real.abort()
            raise asyncpg.InternalClientError("another message than the scope's statement")
        self._real.write(packet)


class Loop:
    """An event loop whose new connections have a :class:`Transport`, for ``asyncpg.connect``."""

    def __init__(self, real: asyncio.AbstractEventLoop) -> None:
        self.real = real
        self.create_future = real.create_future  # asyncpg calls it for each statement

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def create_connection(self, make: Any, *where: Any, **how: Any) -> Any:
        return await self._connected(self.real.create_connection, make, *where, **how)

    async def create_unix_connection(self, make: Any, *where: Any, **how: Any) -> Any:
        return await self._connected(self.real.create_unix_connection, make, *where, **how)

    async def start_tls(self, transport: Any, *what: Any, **how: Any) -> Transport | None:
        encrypted = await self.real.start_tls(transport._real, *what, **how)
        return None if encrypted is None else Transport(encrypted)  # None: the server hung up

    async def _connected(
        self,
        connect: Callable[..., Coroutine[Any, Any, Any]],
        make: Callable[[], asyncio.Protocol],
        *where: Any,
        **how: Any,
    ) -> tuple[Transport, asyncio.Protocol]:
        _, greeter = await connect(lambda: _Greeter(make()), *where, **how)
        return greeter.transport, greeter.protocol


class _Greeter(asyncio.Protocol):
    """Hands the wrapped transport to the real protocol, which takes over at once."""

    transport: Transport

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self.protocol = protocol

    def connection_made(self, transport: Any) -> None:
        self.transport = Transport(transport)
        transport.set_protocol(self.protocol)
        self.protocol.connection_made(self.transport)  # type: ignore[arg-type]


def head_of(statement: str) -> bytes:
    """Return how a Bind of this prepared statement begins: the unnamed portal, its name."""
    return b"\0%s\0" % statement.encode()


def run_of(statement: str, *values: str) -> bytes:
    """Return the messages that run a prepared statement with text values and ignore its rows."""
    encoded = [value.encode() for value in values]
    given = b"".join(struct.pack("!i", len(value)) + value for value in encoded)
    bound = struct.pack("!hh", 0, len(values)) + given + struct.pack("!h", 0)
    return _message(_BIND, head_of(statement) + bound) + _message(b"E", struct.pack("!xi", 0))


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!i", len(content) + 4) + content
