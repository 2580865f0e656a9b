"""What ``digitwin doctor`` finds out about a pooler between it and the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from digitwin.errors import DigiTwinError
from digitwin.kernel.connection import driver_errors, pooler
from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.connection.pooler import Pooling
from digitwin.kernel.execution import opening
from digitwin.settings import Settings

PATIENCE: Final = 2.0
"""Seconds in which a pooler must serve a connection; else it has no server connection for it."""

Verdict = tuple[bool, str, str | None]
"""Whether it fits, what was found, and the cure."""


async def judge(connection: Any, settings: Settings, target: Target, kept: int) -> Verdict:
    """Examine the pooler behind an open connection, if there is one.

    Args:
        kept: how many connections a process may keep open. In session mode as many are opened at
            once, to see how many the pooler serves.
    """
    connect = partial(opening.connect_once, settings, target, any_role=True, names=False)
    found = await pooler.examine(connection, connect)
    if found is Pooling.UNPREPARED:
        return False, found.value, driver_errors.STATEMENTS_LOST
    if found is not Pooling.SESSION:
        return True, found.value, None
    served = 1 + await _served_at_once(kept - 1, connect)  # the open connection is one of them
    detail = f"session mode, served {served} of the {kept} connections of a process at once"
    if served == kept:
        return True, detail, None
    cure = (
        f"raise the pooler's default_pool_size and max_db_connections to {kept} for each process,"
        " or lower DIGITWIN_POOL_MAX"
    )
    return False, detail, cure


async def _served_at_once(count: int, connect: Callable[[], Awaitable[Any]]) -> int:
    opened: list[Any] = []

    async def is_served() -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                opened.append(connection := await connect())
                return bool(await connection.fetchval("SELECT true"))
        except (DigiTwinError, *driver_errors.DRIVER):
            return False

    try:
        return sum(await asyncio.gather(*(is_served() for _ in range(count))))
    finally:
        for connection in opened:
            connection.terminate()
