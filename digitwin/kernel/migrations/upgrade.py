"""Applies migrations, one process at a time.

Files and bookkeeping are Aerich's, so that ``aerich upgrade`` does the same. Aerich's Python API is
not used because it needs an active Tortoise context, takes no lock, and applies a migration in one
transaction: this module uses connections of its own, a lock, and steps beside traffic. What only
an upgrade needs is imported by it, since every start is a look at the schema.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import asyncpg

from digitwin.errors import MigrationRequiredError
from digitwin.kernel.connection import driver_errors
from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.migrations import files, schema_state
from digitwin.kernel.migrations.files import Migration
from digitwin.kernel.migrations.schema_state import SchemaState
from digitwin.settings import Settings

log = logging.getLogger("digitwin.migrations")

MIGRATION_TIMEOUT = 600.0
"""Seconds one statement of a migration may run."""

_HAS_SCHEMA = "SELECT to_regnamespace(quote_ident($1)) IS NOT NULL"
"""Checked first: CREATE SCHEMA IF NOT EXISTS needs a privilege even if the schema exists."""


@dataclass(frozen=True, slots=True)
class Step:
    """A migration, and whether it is applied."""

    name: str
    applied: bool


async def ensure(
    target: Target,
    settings: Settings,
    *,
    found: SchemaState | None = None,
    upgrading: Callable[[], None] = lambda: None,
) -> None:
    """Ensure that the schema matches this package; one query if it does.

    ``settings.migrate`` decides whether an old schema is upgraded or refused; if unset, it is
    upgraded on the embedded server only.

    Args:
        target: the database.
        settings: the configuration.
        found: the state of the schema, if it was read already: nothing is sent if it matches.
        upgrading: called before an upgrade, which may exceed the caller's timeout.

    Raises:
        MigrationRequiredError: the schema does not match; the message says what to run.
        ConfigurationError: the schema contains other applications' tables with our names.
    """
    if settings.migrate == "skip":
        return
    if found is None:
        found = await read_state(target, settings)
    if found.pending and not found.unknown and upgrades_automatically(target, settings):
        upgrading()
        async with _connection(target, settings) as connection:
            await _upgrade(connection, target, settings)
            found = await state(connection)
    refused = found.refusal(len(files.all_migrations()))
    if refused is not None:
        raise refused


async def refusal(connection: asyncpg.Connection) -> MigrationRequiredError | None:
    """Return why this package cannot use the schema as it is now, or None."""
    return (await state(connection)).refusal(len(files.all_migrations()))


def upgrades_automatically(target: Target, settings: Settings) -> bool:
    """Return whether opening a handle upgrades the schema, rather than only checking it."""
    return (settings.migrate or ("auto" if target.embedded else "check")) == "auto"


async def state(connection: asyncpg.Connection) -> SchemaState:
    """Return the state of the schema on the connection's search path.

    Raises:
        ConfigurationError: the schema contains other applications' tables with our names.
    """
    return await state_of(connection, await schema_state.look(connection))


async def state_of(connection: asyncpg.Connection, row: Any) -> SchemaState:
    """As :func:`state`, from what :func:`schema_state.look` returned."""
    names = [migration.name for migration in files.all_migrations()]
    return await schema_state.compare(connection, row, names, files.tables)


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
        return await _upgrade(connection, target, settings)


async def downgrade(
    target: Target, settings: Settings, *, steps: int = 1, lose_data: bool = False
) -> list[str]:
    """Revert the last migrations, newest first, each in a transaction that locks every table.

    Args:
        target: the database.
        settings: the configuration.
        steps: how many migrations to revert.
        lose_data: revert them although rows or values are lost.

    Returns:
        The names of the reverted migrations.

    Raises:
        InvalidStateError: data would be lost, and ``lose_data`` is false; nothing is reverted.
        MigrationRequiredError: the last migration belongs to a newer release.
        QueryTimeoutError: a lock was not granted, or another process took too long.
    """
    from digitwin.kernel.migrations import applying, losses

    reverted: list[str] = []
    async with _connection(target, settings) as connection, _locked(target, settings):
        for name in () if lose_data else (await state(connection)).applied[-steps:]:
            await losses.refuse(connection, files.named(name))
        for _ in range(steps):
            found = await state(connection)
            if found.unknown:
                raise MigrationRequiredError(
                    f"{found.unknown[-1]} belongs to a newer release of digitwin:"
                    " use that release to revert it"
                )
            if not found.applied:
                break
            await applying.revert(connection, files.named(found.applied[-1]), lose_data=lose_data)
            log.info("Reverted migration %s", found.applied[-1])
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
        "statement_cache_size": 0,  # nothing is run often, and a pooler may know no names
        "server_settings": given["server_settings"]
        | {
            "search_path": f'"{settings.schema_name}"',
            "application_name": settings.application_name,
            "timezone": "UTC",
            "statement_timeout": limit,
            "lock_timeout": "0",  # each transaction sets its own
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
async def _locked(target: Target, settings: Settings) -> AsyncIterator[None]:
    from digitwin.kernel.migrations import lock

    async with (
        _connection(target, settings) as keeper,
        lock.held(keeper, settings.schema_name),
    ):
        yield


async def _upgrade(connection: asyncpg.Connection, target: Target, settings: Settings) -> list[str]:
    applied = []
    async with _locked(target, settings):
        if not await connection.fetchval(_HAS_SCHEMA, settings.schema_name):
            await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{settings.schema_name}"')
        found = await state(connection)
        if found.pending and found.unknown:
            refusal = found.refusal(len(files.all_migrations()))
            assert refusal is not None
            raise refusal
        for name in found.pending:
            if await _try_apply(connection, files.named(name), alone=not found.version):
                applied.append(name)
    return applied


async def _try_apply(connection: asyncpg.Connection, migration: Migration, *, alone: bool) -> bool:
    """Apply it; return False if a process without our lock, such as aerich, applied it first."""
    from digitwin.kernel.migrations import applying

    try:
        await applying.apply(connection, migration, alone=alone)
    except asyncpg.PostgresError:
        if migration.name in (await state(connection)).applied:
            return False
        raise
    log.info("Applied migration %s", migration.name)
    return True
