"""Applies migrations, one process at a time.

Files and bookkeeping are Aerich's, so that ``aerich upgrade`` does the same. Aerich's Python API is
not used because it needs an active Tortoise context and takes no lock: this module uses a
separate connection and an advisory lock.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import asyncpg

from digitwin.errors import MigrationRequiredError, QueryTimeoutError
from digitwin.kernel.connection import driver_errors
from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.migrations import files, schema_state
from digitwin.kernel.migrations.files import Migration
from digitwin.kernel.migrations.schema_state import APP, SchemaState
from digitwin.settings import Settings

log = logging.getLogger("digitwin.migrations")

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another process that migrates."""
POLL = 0.05
"""Seconds between attempts to get the lock. Waiting for it inside PostgreSQL would deadlock with
CREATE INDEX CONCURRENTLY, which waits for every open statement."""
MIGRATION_TIMEOUT = 600.0
"""Seconds one migration may run."""

_TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('digitwin.migrations:' || $1, 0))"
_HAS_SCHEMA = "SELECT to_regnamespace(quote_ident($1)) IS NOT NULL"
"""Checked first: CREATE SCHEMA IF NOT EXISTS needs a privilege even if the schema exists."""


@dataclass(frozen=True, slots=True)
class Step:
    """A migration, and whether it is applied."""

    name: str
    applied: bool


async def ensure(
    target: Target, settings: Settings, *, upgrading: Callable[[], None] = lambda: None
) -> None:
    """Ensure that the schema matches this package; one query if it does.

    ``settings.migrate`` decides whether an old schema is upgraded or refused; if unset, it is
    upgraded on the embedded server only.

    Args:
        target: the database.
        settings: the configuration.
        upgrading: called before an upgrade, which may exceed the caller's timeout.

    Raises:
        MigrationRequiredError: the schema does not match; the message says what to run.
        ConfigurationError: the schema contains other applications' tables with our names.
    """
    if settings.migrate == "skip":
        return
    auto = upgrades_automatically(target, settings)
    async with _connection(target, settings) as connection:
        found = await state(connection)
        if found.pending and not found.unknown and auto:
            upgrading()
            await _upgrade(connection, settings)
            found = await state(connection)
        refusal = found.refusal(len(files.all_migrations()))
        if refusal is not None:
            raise refusal


def upgrades_automatically(target: Target, settings: Settings) -> bool:
    """Return whether opening a handle upgrades the schema, rather than only checking it."""
    return (settings.migrate or ("auto" if target.embedded else "check")) == "auto"


async def state(connection: asyncpg.Connection) -> SchemaState:
    """Return the state of the schema on the connection's search path.

    Raises:
        ConfigurationError: the schema contains other applications' tables with our names.
    """
    names = [migration.name for migration in files.all_migrations()]
    return await schema_state.read(connection, names, files.tables())


async def upgrade(target: Target, settings: Settings) -> list[str]:
    """Apply pending migrations. Safe to run concurrently.

    Returns:
        The names of the migrations that this call applied.

    Raises:
        ConfigurationError: the schema contains other applications' tables with our names.
        MigrationRequiredError: the schema has a different migration history.
        QueryTimeoutError: a lock was not granted, or another process took too long.
    """
    async with _connection(target, settings) as connection:
        return await _upgrade(connection, settings)


async def downgrade(target: Target, settings: Settings, *, steps: int = 1) -> list[str]:
    """Revert the last migrations, newest first; their data is lost.

    Returns:
        The names of the reverted migrations.

    Raises:
        MigrationRequiredError: the last migration belongs to a newer release.
    """
    reverted: list[str] = []
    async with _connection(target, settings) as connection, _locked(connection, settings):
        for _ in range(steps):
            found = await state(connection)
            if found.unknown:
                raise MigrationRequiredError(
                    f"{found.unknown[-1]} belongs to a newer release of digitwin:"
                    " use that release to revert it"
                )
            if not found.applied:
                break
            await _revert(connection, files.named(found.applied[-1]))
            reverted.append(found.applied[-1])
    return reverted


async def read_state(target: Target, settings: Settings) -> SchemaState:
    """As :func:`state`, on a new connection."""
    async with _connection(target, settings) as connection:
        return await state(connection)


async def history(target: Target, settings: Settings) -> list[Step]:
    """Return every migration of this package and of the schema, oldest first."""
    found = await read_state(target, settings)
    steps = [
        Step(migration.name, migration.name in found.applied)
        for migration in files.all_migrations()
    ]
    return steps + [Step(name, applied=True) for name in found.unknown]


@asynccontextmanager
async def _connection(target: Target, settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """Open a connection with longer timeouts, for migrations."""
    given = target.connect_args()
    limit = str(int(MIGRATION_TIMEOUT * 1000))
    arguments = given | {
        "timeout": settings.connect_timeout,
        "command_timeout": MIGRATION_TIMEOUT + 1,
        "server_settings": given["server_settings"]
        | {
            "search_path": f'"{settings.schema_name}"',
            "application_name": settings.application_name,
            "timezone": "UTC",
            "statement_timeout": limit,
            "lock_timeout": str(max(1, round(settings.lock_timeout * 1000))),
        },
    }
    try:
        async with asyncio.timeout(settings.connect_timeout):
            connection = await asyncpg.connect(**arguments)
    except driver_errors.DRIVER as fault:
        raise driver_errors.of_connecting(fault, target.display) or fault from fault
    try:
        yield connection
    except driver_errors.DRIVER as fault:
        raise driver_errors.translate(fault) or fault from fault
    finally:
        with suppress(*driver_errors.DRIVER):
            await connection.close(timeout=1)
        connection.terminate()


@asynccontextmanager
async def _locked(connection: asyncpg.Connection, settings: Settings) -> AsyncIterator[None]:
    """Hold the migration lock of this schema; it is released with the connection."""
    try:
        async with asyncio.timeout(LOCK_TIMEOUT):
            while not await connection.fetchval(  # noqa: ASYNC110 - across processes
                _TRY_LOCK, settings.schema_name
            ):
                await asyncio.sleep(POLL)
    except TimeoutError:
        raise QueryTimeoutError(
            f"Another process has been migrating this schema for {LOCK_TIMEOUT:.0f} seconds"
        ) from None
    yield


async def _upgrade(connection: asyncpg.Connection, settings: Settings) -> list[str]:
    applied = []
    async with _locked(connection, settings):
        if not await connection.fetchval(_HAS_SCHEMA, settings.schema_name):
            await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{settings.schema_name}"')
        found = await state(connection)
        if found.pending and found.unknown:
            refusal = found.refusal(len(files.all_migrations()))
            assert refusal is not None
            raise refusal
        for name in found.pending:
            if await _try_apply(connection, files.named(name)):
                applied.append(name)
    return applied


async def _try_apply(connection: asyncpg.Connection, migration: Migration) -> bool:
    """Apply it; return False if a process without our lock, such as aerich, applied it first."""
    try:
        await _apply(connection, migration)
    except asyncpg.PostgresError:
        if migration.name in (await state(connection)).applied:
            return False
        raise
    log.info("Applied migration %s", migration.name)
    return True


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    insert = "INSERT INTO aerich (version, app, content) VALUES ($1, $2, $3::jsonb)"
    row = migration.name, APP, json.dumps(migration.models_state)
    script = await migration.upgrade()
    if migration.in_transaction:
        async with connection.transaction():
            await connection.execute(script)
            await connection.execute(insert, *row)
    else:
        await connection.execute(script)
        await connection.execute(insert, *row)


async def _revert(connection: asyncpg.Connection, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(await migration.downgrade())
        await connection.execute(
            "DELETE FROM aerich WHERE app = $1 AND version = $2", APP, migration.name
        )
    log.info("Reverted migration %s", migration.name)
