"""Which connections can send a scope and a statement in one write."""

from __future__ import annotations

from typing import Any

from digitwin.kernel.connection import driver_errors
from digitwin.kernel.connection.pool import Pool
from digitwin.kernel.connection.scopes import Scope
from digitwin.kernel.connection.scrubbing import scrub


async def enter(connection: Any, scope: Scope) -> bool:
    """Return whether statements in this scope can be sent in one write on a connection.

    Raises:
        ConfigurationError: the scope's role is missing, or not granted to this login.
    """
    try:
        return bool(await connection.enters(scope))
    except driver_errors.DRIVER as fault:
        raise driver_errors.of_role(fault, scope.role) or fault from fault


async def require_role(connection: Any, scope: Scope, fault: BaseException) -> None:
    """Ask whether a statement failed in this scope because of its role; other errors pass.

    Raises:
        ConfigurationError: the scope's role is missing, or not granted to this login.
    """
    if driver_errors.may_be_of_role(fault):
        scrub(fault)  # before it is the context of another
        await enter(connection, scope)


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
    pool.stop_pipelining("a pooler separates messages that are sent together")
    return None
