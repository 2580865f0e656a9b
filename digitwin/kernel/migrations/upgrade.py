"""The schema brought to the package's version, by one process at a time.

The migrations are Aerich's, files and book both, and a plain ``aerich upgrade`` does the
same. They are applied here rather than through Aerich's Python interface because that works
inside whatever Tortoise context happens to be active, and without a lock: here it is one
connection of its own, in nobody's context, behind an advisory lock.
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

PATIENCE = 60.0
"""Seconds to wait while another process migrates."""
POLL = 0.05
"""Seconds between two looks whether it is done. Waiting inside PostgreSQL would deadlock with
CREATE INDEX CONCURRENTLY, which waits for every open statement."""
TIME_LIMIT = 600.0
"""Seconds one migration may run."""

_TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('digitwin.migrations:' || $1, 0))"
_HAS_SCHEMA = "SELECT to_regnamespace(quote_ident($1)) IS NOT NULL"
"""Asked first: CREATE SCHEMA wants a right on the database, even where it has nothing to do."""


@dataclass(frozen=True, slots=True)
class Step:
    """One migration of the history."""

    name: str
    applied: bool


async def ensure(
    target: Target, settings: Settings, *, upgrading: Callable[[], None] = lambda: None
) -> None:
    """Make sure that the schema fits this package; costs one query when it does.

    What an old schema gets says ``settings.migrate``; left open, the embedded server's is
    upgraded and every other one refused.

    Args:
        upgrading: called before an upgrade, which may take longer than a caller's bound.

    Raises:
        MigrationRequiredError: it does not fit; the message names the cure.
        ConfigurationError: tables of our names are there that are not ours.
    """
    if settings.migrate == "skip":
        return
    auto = looks_after(target, settings)
    async with _connection(target, settings) as connection:
        found = await state(connection)
        if found.pending and not found.unknown and auto:
            upgrading()
            await _upgrade(connection, settings)
            found = await state(connection)
        refusal = found.refusal(len(files.all_migrations()))
        if refusal is not None:
            raise refusal


def looks_after(target: Target, settings: Settings) -> bool:
    """Whether a start brings the schema up to date, or only checks it."""
    return (settings.migrate or ("auto" if target.embedded else "check")) == "auto"


async def state(connection: asyncpg.Connection) -> SchemaState:
    """The schema on the connection's search path, as this package sees it.

    Raises:
        ConfigurationError: tables of our names are there that are not ours.
    """
    names = [migration.name for migration in files.all_migrations()]
    return await schema_state.read(connection, names, files.tables())


async def upgrade(target: Target, settings: Settings) -> list[str]:
    """Apply what is pending; the names of what was, none when another process was first.

    Raises:
        ConfigurationError: tables of our names are there that are not ours.
        MigrationRequiredError: the schema's history is not this package's.
        QueryTimeoutError: a lock was not granted, or another process took too long.
    """
    async with _connection(target, settings) as connection:
        return await _upgrade(connection, settings)


async def downgrade(target: Target, settings: Settings, *, steps: int = 1) -> list[str]:
    """Take back the last migrations, newest first, with all they hold; the names of these.

    Raises:
        MigrationRequiredError: a newer release applied the last one, and must take it back.
    """
    undone: list[str] = []
    async with _connection(target, settings) as connection, _alone(connection, settings):
        for _ in range(steps):
            found = await state(connection)
            if found.unknown:
                raise MigrationRequiredError(
                    f"{found.unknown[-1]} is of a newer digitwin: take it back with that one"
                )
            if not found.applied:
                break
            await _undo(connection, files.named(found.applied[-1]))
            undone.append(found.applied[-1])
    return undone


async def look(target: Target, settings: Settings) -> SchemaState:
    """As :func:`state`, on a connection of its own."""
    async with _connection(target, settings) as connection:
        return await state(connection)


async def history(target: Target, settings: Settings) -> list[Step]:
    """Every migration of this package and of the schema, oldest first."""
    found = await look(target, settings)
    steps = [
        Step(migration.name, migration.name in found.applied)
        for migration in files.all_migrations()
    ]
    return steps + [Step(name, applied=True) for name in found.unknown]


@asynccontextmanager
async def _connection(target: Target, settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection for migrations, which may take longer than any other statement."""
    given = target.connect_args()
    limit = str(int(TIME_LIMIT * 1000))
    arguments = given | {
        "timeout": settings.connect_timeout,
        "command_timeout": TIME_LIMIT + 1,
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
async def _alone(connection: asyncpg.Connection, settings: Settings) -> AsyncIterator[None]:
    """Hold the migrations of this schema; the lock goes with the connection."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not await connection.fetchval(  # noqa: ASYNC110 - no event crosses processes
                _TRY_LOCK, settings.schema_name
            ):
                await asyncio.sleep(POLL)
    except TimeoutError:
        raise QueryTimeoutError(
            f"Another process has been migrating this schema for {PATIENCE:.0f} seconds"
        ) from None
    yield


async def _upgrade(connection: asyncpg.Connection, settings: Settings) -> list[str]:
    applied = []
    async with _alone(connection, settings):
        if not await connection.fetchval(_HAS_SCHEMA, settings.schema_name):
            await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{settings.schema_name}"')
        found = await state(connection)
        if found.pending and found.unknown:
            refusal = found.refusal(len(files.all_migrations()))
            assert refusal is not None
            raise refusal
        for name in found.pending:
            if await _applied_here(connection, files.named(name)):
                applied.append(name)
    return applied


async def _applied_here(connection: asyncpg.Connection, migration: Migration) -> bool:
    """Apply it; False when somebody without our lock, as plain Aerich, was faster."""
    try:
        await _apply(connection, migration)
    except asyncpg.PostgresError:
        if migration.name in (await state(connection)).applied:
            return False
        raise
    log.info("Applied migration %s", migration.name)
    return True


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    book = "INSERT INTO aerich (version, app, content) VALUES ($1, $2, $3::jsonb)"
    line = migration.name, APP, json.dumps(migration.models_state)
    script = await migration.upgrade()
    if migration.in_transaction:
        async with connection.transaction():
            await connection.execute(script)
            await connection.execute(book, *line)
    else:
        await connection.execute(script)
        await connection.execute(book, *line)


async def _undo(connection: asyncpg.Connection, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(await migration.downgrade())
        await connection.execute(
            "DELETE FROM aerich WHERE app = $1 AND version = $2", APP, migration.name
        )
    log.info("Took back migration %s", migration.name)
