"""Applies one migration, step by step, or reverts it.

A step waits for a lock for less than ``deadlock_timeout``, and is run again when it was not
granted: the migration gives up before the server looks for a deadlock, so that no caller is chosen
as its victim.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable

import asyncpg

from digitwin.errors import InvalidStateError, QueryTimeoutError
from digitwin.kernel.migrations import files, losses, steps
from digitwin.kernel.migrations.files import Migration
from digitwin.kernel.migrations.schema_state import APP

BUSY_TIMEOUT = 60.0
"""Seconds for which a step is tried while its locks are not granted."""
LONGEST_PAUSE = 1.0
"""Seconds between two attempts, at most."""

_BUSY = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)
_SHORT_WAIT = """
SELECT set_config('lock_timeout', least(200, greatest(1, setting::integer / 2))::text, true)
FROM pg_settings WHERE name = 'deadlock_timeout'
"""
_IS_BROKEN = """
SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass($1) AND NOT indisvalid)
"""
_IS_BEING_BUILT = """
SELECT EXISTS (SELECT FROM pg_stat_progress_create_index
               WHERE datname = current_database() AND index_relid = to_regclass($1))
"""
"""By a killed process: the server goes on until it writes to the client."""
_OLDEST = """
SELECT pid, application_name AS name, extract(epoch FROM now() - xact_start)::integer AS seconds
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
  AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)
ORDER BY xact_start LIMIT 1
"""
_OURS = """
SELECT array_agg(relname::text ORDER BY relname <> 'users', relname) FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relname = ANY($1::text[])
"""
_ADD = "INSERT INTO aerich (version, app, content) VALUES ($1, $2, $3::jsonb)"
_REMOVE = "DELETE FROM aerich WHERE app = $1 AND version = $2"

Work = Callable[[], Awaitable[None]]


async def apply(connection: asyncpg.Connection, migration: Migration, *, alone: bool) -> None:
    """Apply a migration; what was done of it before is not harmed.

    Args:
        connection: no transaction is open on it.
        migration: the next one.
        alone: nobody uses the schema yet, so that one transaction can do everything.

    Raises:
        QueryTimeoutError: a table was in use for ``BUSY_TIMEOUT``.
        InvalidStateError: rows that the migration does not allow.
    """
    if alone or migration.steps is None:
        await _in_transaction(connection, await migration.upgrade(), migration)
        return
    *first, last = migration.steps
    for step in first:
        await _run(connection, step)
    await _in_transaction(connection, last, migration)


async def revert(connection: asyncpg.Connection, migration: Migration, *, lose_data: bool) -> None:
    """Revert a migration in one transaction, which first locks every table.

    Raises:
        QueryTimeoutError: a table was in use for ``BUSY_TIMEOUT``.
        InvalidStateError: it would lose data, and ``lose_data`` is false.
    """
    script = await migration.downgrade()

    async def work() -> None:
        await _lock_all(connection)
        if not lose_data:
            await losses.refuse(connection, migration)
        await connection.execute(script)
        await connection.execute(_REMOVE, APP, migration.name)

    await _until_granted(connection, lambda: _transaction(connection, work))


async def in_short_transaction(connection: asyncpg.Connection, statements: Iterable[str]) -> None:
    """Run statements that lock one table at most in a transaction that callers hardly notice.

    Raises:
        QueryTimeoutError: the table was in use for ``BUSY_TIMEOUT``.
    """

    async def work() -> None:
        for statement in statements:
            await connection.execute(statement)

    await _until_granted(connection, lambda: _transaction(connection, work))


async def _run(connection: asyncpg.Connection, step: str) -> None:
    try:
        if steps.is_concurrent(step):
            await _until_granted(connection, lambda: _concurrently(connection, step))
        else:
            await _in_transaction(connection, step)
    except asyncpg.IntegrityConstraintViolationError as fault:
        raise await _refused(connection, step, fault) from None


async def _in_transaction(
    connection: asyncpg.Connection, script: str, migration: Migration | None = None
) -> None:
    """Run a script, and record the migration with it if it is its last."""

    async def work() -> None:
        await connection.execute(script)
        if migration is not None:
            content = json.dumps(migration.models_state)
            await connection.execute(_ADD, migration.name, APP, content)

    await _until_granted(connection, lambda: _transaction(connection, work))


async def _transaction(connection: asyncpg.Connection, work: Work) -> None:
    async with connection.transaction():
        await connection.fetchval(_SHORT_WAIT)
        await work()


async def _lock_all(connection: asyncpg.Connection) -> None:
    """Lock every table, and wait for none of them while another is locked."""
    first, *others = await connection.fetchval(_OURS, list(files.tables())) or ["aerich"]
    await connection.execute(f"LOCK TABLE {first}")
    if others:
        await connection.execute(f"LOCK TABLE {', '.join(others)} NOWAIT")


async def _concurrently(connection: asyncpg.Connection, step: str) -> None:
    """Run it outside a transaction, after removing what an interrupted run left of its index."""
    index = steps.index_built(step)
    while index and await connection.fetchval(_IS_BEING_BUILT, index):  # noqa: ASYNC110
        await asyncio.sleep(LONGEST_PAUSE / 10)
    if index is not None and await connection.fetchval(_IS_BROKEN, index):
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
    await connection.execute(step)


async def _until_granted(connection: asyncpg.Connection, attempt: Work) -> None:
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + BUSY_TIMEOUT, 0.02
    while True:
        try:
            await attempt()
            return
        except _BUSY as fault:
            if loop.time() + pause > deadline:
                raise await _busy(connection, fault) from None
        await asyncio.sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 1.5)


async def _busy(connection: asyncpg.Connection, fault: asyncpg.PostgresError) -> QueryTimeoutError:
    oldest = await connection.fetchrow(_OLDEST)
    who = (
        f"the oldest transaction is that of process {oldest['pid']} ({oldest['name']}),"
        f" {oldest['seconds']} seconds old"
        if oldest
        else "many short transactions use it"
    )
    return QueryTimeoutError(
        f"A table was in use for {BUSY_TIMEOUT:.0f} seconds: {who}. What was done is kept:"
        " run the command again",
        sqlstate=fault.sqlstate,
    )


async def _refused(
    connection: asyncpg.Connection, step: str, fault: asyncpg.IntegrityConstraintViolationError
) -> InvalidStateError:
    """Return the error for rows that a step does not allow, without their values."""
    index, table, name = steps.index_built(step), fault.table_name, fault.constraint_name
    if index is not None:  # it would refuse writes, although it is not valid
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
    return InvalidStateError(
        f"Rows of {table} violate {name}, which this migration adds: correct or remove them (the"
        " migration's file says how to find them), and run the command again",
        table=table,
        constraint=name,
    )
