"""Recognises a pooler, such as PgBouncer, between this process and the server.

In transaction mode each transaction may run on another server connection. A prepared statement is
then found only if the pooler carries it along, as PgBouncer does from version 1.21 on. An older
one answers at random: that the statement does not exist, or by another client's statement of the
same name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, Final
from uuid import uuid4

from digitwin.errors import UnsupportedServerError
from digitwin.kernel.connection import driver_errors

_PATTERN: Final = "ABBAABABBBAABABAAB"
"""Which of two connections asks for its server process. It is irregular, so that no pooler hands
out two server connections in step with it."""
_PATIENCE: Final = 2.0
"""Seconds for the second connection: in session mode there may be none left for it."""
_PID: Final = "SELECT pg_backend_pid()"
_KEPT_NAME: Final = "SELECT EXISTS (SELECT FROM pg_prepared_statements WHERE name = $1)"


class Pooling(Enum):
    """How server connections are shared."""

    DIRECT = "no pooler"
    SESSION = "session mode: each connection keeps a server connection"
    TRANSACTION = "transaction mode, and prepared statements are carried along"
    UNPREPARED = "transaction mode, and prepared statements are lost"


async def examine(
    connection: Any, connect: Callable[[], Awaitable[Any]], process: int | None = None
) -> Pooling:
    """Return how the server connections behind an open connection are shared.

    Without a pooler it costs one query: the server told its process when the connection started,
    and a pooler tells a number of its own.

    Args:
        connection: one that names no statements.
        connect: opens another one like it.
        process: the server process, if a query on the connection has told it.
    """
    if (process or await connection.fetchval(_PID)) == connection.get_server_pid():
        return Pooling.DIRECT
    if await _carries_statements(connection):
        return Pooling.TRANSACTION
    return Pooling.UNPREPARED if await _shares(connection, connect) else Pooling.SESSION


def require_prepared(pooling: Pooling, where: str) -> None:
    """Refuse a pooler that loses prepared statements.

    Raises:
        UnsupportedServerError: it does; the message says what to do.
    """
    if pooling is Pooling.UNPREPARED:
        raise UnsupportedServerError(f"{where}: {driver_errors.STATEMENTS_LOST}")


async def _carries_statements(connection: Any) -> bool:
    """Return whether the pooler keeps statements under names of its own."""
    name = f"digitwin_{uuid4().hex}"
    async with connection.transaction():
        statement = await connection.prepare("SELECT 1", name=name)
        kept = await connection.fetchval(_KEPT_NAME, name)
        if kept:
            await connection.execute(f"DEALLOCATE {name}")
        del statement  # until now: asyncpg closes what nobody holds
    return not kept


async def _shares(connection: Any, connect: Callable[[], Awaitable[Any]]) -> bool:
    """Return whether two connections use each other's server connections, or change theirs."""
    other = await connect()
    try:
        async with asyncio.timeout(_PATIENCE):
            seen: dict[str, set[int]] = {"A": set(), "B": set()}
            for letter in _PATTERN:
                asked = connection if letter == "A" else other
                seen[letter].add(await asked.fetchval(_PID))
    except TimeoutError:
        return False
    finally:
        other.terminate()
    keeps = len(seen["A"]) == len(seen["B"]) == 1
    return not keeps or seen["A"] == seen["B"]
