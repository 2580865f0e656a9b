"""Opens the core of a handle: connect, check server and schema, fill the pool.

The pool's first connection makes the checks and stays in the pool: a connection costs up to 20 ms
(TLS and the password's hash). On a server that is ready there is one query: it reads the schema's
version, and the number of the server process, which shows a pooler.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any, Protocol

import asyncpg

from digitwin.errors import DigiTwinError, UnsupportedServerError
from digitwin.kernel.connection import driver_errors, pooler, server_role, wire
from digitwin.kernel.connection.connections import Connection
from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.connection.pool import Pool
from digitwin.kernel.execution.core import Core
from digitwin.kernel.migrations import schema_state, upgrade
from digitwin.settings import Settings

OLDEST_SERVER = 150_000
"""PostgreSQL 15: the first with ``ON DELETE SET NULL (column)``, which composite keys need."""

ANSWER_MARGIN = 1.0
"""Seconds beyond ``statement_timeout`` after which the client considers the network frozen."""

GOODBYE = 1.0
"""Seconds to close the connections of a start that is refused."""

BESIDE_THE_POOL = 3
"""Connections of a handle that are not in its pool: one that listens for cache invalidations, one
for the locks of ``get_or_create``, and one for a moment during each ``health()``, an upgrade, and
a start behind a pooler."""


class Roles(Protocol):
    """What an upgraded schema needs besides: its roles, of :mod:`digitwin.roles`."""

    async def are_missing(self, connection: asyncpg.Connection, /) -> bool:
        """Return whether :meth:`ensure` has anything to do."""

    async def ensure(self, connection: asyncpg.Connection, schema: str, /) -> object:
        """Create what is missing."""


async def open_core(
    settings: Settings, target: Target, *, roles: Callable[[], Roles] | None = None
) -> Core:
    """Open a core with a pool, after checking the server and the schema.

    Args:
        settings: the configuration.
        target: the database.
        roles: returns what creates them once the schema is current, if this handle upgrades it
            (``migrate="auto"``).

    Raises:
        ConnectionFailedError: no connection within ``connect_timeout``.
        ReadOnlyServerError: the server is a standby, and the address does not accept one.
        UnsupportedServerError: the server is older than PostgreSQL 15, or behind a pooler that
            loses prepared statements.
        MigrationRequiredError: the schema does not match, and ``migrate`` is not "auto".
    """
    wire_models()
    pool = await _create_pool(settings, target)
    try:
        async with asyncio.timeout(settings.connect_timeout) as bound:
            await _check(pool, settings, target, lambda: bound.reschedule(None), roles)
            await _fill(pool, settings)
    except DigiTwinError:
        await pool.close(GOODBYE)
        raise
    except TimeoutError as fault:
        pool.terminate()
        raise driver_errors.of_connecting(fault, target.display) or fault from fault
    except BaseException:
        pool.terminate()
        raise
    return Core(settings, pool, reads_only=target.target_session_attrs in server_role.FOR_READING)


async def _check(
    pool: Pool,
    settings: Settings,
    target: Target,
    upgrading: Callable[[], None],
    roles: Callable[[], Roles] | None,
) -> None:
    """Check pooler and schema on the pool's first connection, and upgrade the schema if asked."""
    connection, well = await pool.acquire(), False
    connection.name_statements(False)  # a pooler may know no names
    try:
        found = await _examine(connection, settings, target)
        if found is not None:
            await upgrade.ensure(target, settings, found=found, upgrading=upgrading)
        if roles is not None and upgrade.upgrades_automatically(target, settings):
            await _ensure_roles(connection, settings, target, roles())
        connection.name_statements(True)
        well = True
        if not settings.pool_min:
            await close_once(connection)
    finally:
        await pool.release(connection, well=well)


async def _examine(
    connection: Any, settings: Settings, target: Target
) -> schema_state.SchemaState | None:
    """Refuse a pooler that loses statements, and return the schema's state if it matters."""
    skips = settings.migrate == "skip"
    with _translated(target):
        row = None if skips else await schema_state.look(connection)
        await _require_prepared(connection, settings, target, row and row["process"])
        return None if skips else await upgrade.state_of(connection, row)


@contextmanager
def _translated(target: Target) -> Iterator[None]:
    """Translate errors of the first statements: a lost connection is one that was not made."""
    try:
        yield
    except asyncpg.PostgresError as fault:
        raise driver_errors.translate(fault) or fault from fault
    except driver_errors.DRIVER as fault:
        raise driver_errors.of_connecting(fault, target.display) or fault from fault


async def _require_prepared(
    connection: Any, settings: Settings, target: Target, process: int | None
) -> None:
    connect = partial(connect_once, settings, target, names=False)
    found = await pooler.examine(connection, connect, process)
    pooler.require_prepared(found, target.display)


async def _ensure_roles(connection: Any, settings: Settings, target: Target, roles: Roles) -> None:
    with _translated(target):  # an upgrade has ended the start's own time limit
        async with asyncio.timeout(settings.statement_timeout + ANSWER_MARGIN):
            if not await roles.are_missing(connection):
                return
    separate = await connect_once(settings, target)  # each of its statements has a time limit
    try:
        await roles.ensure(separate, settings.schema_name)
    finally:
        await close_once(separate)


def wire_models() -> None:
    """Make the models usable, once a process: their import resolves their relations."""
    import_module("digitwin.models")


async def connect_once(
    settings: Settings, target: Target, *, any_role: bool = False, names: bool = True
) -> asyncpg.Connection:
    """Open a connection outside the pool, within ``connect_timeout``.

    Args:
        any_role: accept a server that ``target_session_attrs`` does not, to look at it.
        names: name prepared statements, which not every pooler can stand.

    Raises:
        ConnectionFailedError: the attempt failed.
        ReadOnlyServerError: the server is a standby, and the address does not accept one.
    """
    try:
        async with asyncio.timeout(settings.connect_timeout):
            connection = await asyncpg.connect(
                **connect_arguments(settings, target),
                command_timeout=settings.statement_timeout + ANSWER_MARGIN,
                connection_class=Connection,
                **({} if names else {"statement_cache_size": 0}),
            )
            if not any_role:
                await _require_role(connection, settings, target)
    except driver_errors.DRIVER as fault:
        raise driver_errors.of_connecting(fault, target.display) or fault from fault
    return connection


async def _require_role(connection: asyncpg.Connection, settings: Settings, target: Target) -> None:
    """Refuse a new connection by the server's role; asyncpg sets no limit for the pool's."""
    try:
        async with asyncio.timeout(settings.connect_timeout):
            await server_role.require(connection, target.target_session_attrs, target.display)
    except BaseException:
        connection.terminate()
        raise


def connect_arguments(settings: Settings, target: Target) -> dict[str, Any]:
    """Return asyncpg's connection arguments, without ``command_timeout``."""
    given = target.connect_args()
    return {
        **given,
        "timeout": settings.connect_timeout,
        "server_settings": {**given.get("server_settings", {}), **session_settings(settings)},
    }


def session_settings(settings: Settings) -> dict[str, str]:
    """Return the session settings, set at connection start and never changed afterwards."""
    return {
        # Named last: else a temporary table is found before a table of ours with its name
        "search_path": f'"{settings.schema_name}", pg_temp',
        "application_name": settings.application_name,
        "timezone": "UTC",
        "datestyle": "ISO, MDY",  # some moments are read as text
        "statement_timeout": _milliseconds(settings.statement_timeout),
        "lock_timeout": _milliseconds(settings.lock_timeout),
        "idle_in_transaction_session_timeout": _milliseconds(settings.idle_in_transaction_timeout),
    }


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))


async def _admit(connection: Any, settings: Settings, target: Target) -> None:
    """Refuse a new connection of the pool by the server's version and role."""
    _require_version(connection, target)
    connection.name_statements(False)  # a pooler may know no names
    await _require_role(connection, settings, target)
    connection.name_statements(True)


def _require_version(connection: Any, target: Target) -> None:
    if connection.get_server_version().major * 10_000 < OLDEST_SERVER:
        version = server_version(connection)
        connection.terminate()
        raise UnsupportedServerError(
            f"{target.display} runs PostgreSQL {version}: digitwin requires 15 or newer",
            server_version=version,
        )


def server_version(connection: asyncpg.Connection) -> str:
    """Return the server's version, without the packager's suffix."""
    said: str = connection.get_settings().server_version
    return said.split(" ")[0]


async def close_once(connection: asyncpg.Connection) -> None:
    """Close a connection of :func:`connect_once`, without waiting for a frozen network."""
    try:
        await connection.close(timeout=1)
    except driver_errors.DRIVER:
        connection.terminate()


async def _connect_armable(*args: Any, loop: Any, **given: Any) -> asyncpg.Connection:
    """Open a connection whose statements can be sent together with their scope."""
    return await asyncpg.connect(*args, loop=wire.Loop(loop), **given)


async def _create_pool(settings: Settings, target: Target) -> Pool:
    """Create the pool without a connection."""
    driver = asyncpg.create_pool(
        **connect_arguments(settings, target),
        min_size=0,  # `PoolFloor` keeps connections open
        max_size=settings.pool_max,
        max_inactive_connection_lifetime=settings.idle_timeout,
        connection_class=Connection,
        connect=_connect_armable if wire.FITS else None,
        init=partial(_admit, settings=settings, target=target),
    )
    await driver
    pool = Pool(
        driver,
        settings.pool_max,
        settings.acquire_timeout,
        target.display,
        answer_timeout=settings.statement_timeout + ANSWER_MARGIN,
        idle_timeout=settings.idle_timeout,
        max_lifetime=settings.max_lifetime,
        outdated=upgrade.refusal,
    )
    if not wire.FITS:
        pool.stop_pipelining(f"asyncpg {asyncpg.__version__} is newer than digitwin knows")
    return pool


async def _fill(pool: Pool, settings: Settings) -> None:
    """Open the rest of ``pool_min`` connections, concurrently; if one fails, none goes on."""
    async with asyncio.timeout(settings.connect_timeout):
        count = settings.pool_min - pool.size
        attempts = [asyncio.create_task(pool.open_one()) for _ in range(count)]
        try:
            await asyncio.gather(*attempts)
        except BaseException:
            for attempt in attempts:
                attempt.cancel()
            await asyncio.wait(attempts)  # else the last to connect would stay connected
            raise
