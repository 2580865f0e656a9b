"""Which connections can send a scope and a statement in one write."""

from __future__ import annotations

from logging import getLogger
from typing import Any

from digitwin.kernel.connection import driver_errors
from digitwin.kernel.connection.pool import Pool
from digitwin.kernel.connection.scopes import Scope

log = getLogger("digitwin.sql")


async def enter(connection: Any, scope: Scope) -> bool:
    """Return whether statements in this scope can be sent in one write on a connection.

    Raises:
        ConfigurationError: the scope's role is missing, or not granted to this login.
    """
    try:
        return bool(await connection.enters(scope))
    except driver_errors.DRIVER as fault:
        raise driver_errors.of_role(fault, scope.role) or fault from fault


async def acquire_in(pool: Pool, scope: Scope) -> Any:
    """Return a connection on which statements in this scope can be sent in one write.

    Returns:
        A connection, to be released; None if a pooler separates what is sent together. Then no
        other connection is tried either.

    Raises:
        ConfigurationError: as :func:`enter`.
        PoolTimeoutError, ConnectionFailedError: as :meth:`Pool.acquire`.
    """
    if not pool.pipelines:
        return None
    connection = pool.take() or await pool.acquire()
    if scope.role in connection.entered:
        return connection
    fits = False
    try:
        fits = await enter(connection, scope)
    finally:
        if not fits:
            await pool.release(connection)
    if fits:
        return connection
    pool.pipelines = False
    log.warning(
        "a pooler separates messages sent together: each call in a scope takes three round trips"
        " instead of one"
    )
    return None
