"""Recognizes the embedded server by asking it: an address may lead anywhere.

A Unix socket or a loopback address may be a pooler's, or the end of a tunnel to production.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg

from digitwin.kernel.connection import driver_errors

_IDENTITY = """
SELECT system_identifier, extract(epoch FROM pg_postmaster_start_time())::float8
FROM pg_control_system()
"""
TOLERANCE = 10.0
"""Seconds between the start in ``postmaster.pid`` and the one that the server tells."""


async def is_server_of(home: Path, connection: asyncpg.Connection) -> bool:
    """Return whether the connection leads to the running embedded server of this folder.

    Its cluster has the identifier in the folder's control file, and started when
    ``postmaster.pid`` says: a copy of the cluster elsewhere did not.
    """
    expected = await asyncio.to_thread(_expected, home)
    if expected is None:
        return False
    try:
        identifier, started = await connection.fetchrow(_IDENTITY)
    except driver_errors.DRIVER:
        return False
    return bool(identifier == expected[0] and abs(started - expected[1]) < TOLERANCE)


def _expected(home: Path) -> tuple[int, float] | None:
    """Return the system identifier of the folder's cluster and the start of its server."""
    data = home.expanduser().resolve() / "data"
    try:
        with (data / "global" / "pg_control").open("rb") as control:
            identifier = int.from_bytes(control.read(8), "little", signed=True)
        started = (data / "postmaster.pid").read_text("utf-8").splitlines()[2]
        return identifier, float(started)
    except (OSError, ValueError, IndexError):
        return None
