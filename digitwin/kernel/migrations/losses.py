"""What reverting a migration would lose, as far as there is any.

Rows of the tables and values of the columns that it drops are found in its SQL. A migration
declares the rest as ``LOSES``: what an older release could not read, and a query that says whether
there is any. An entry named ``table.column`` or ``rows of table`` replaces what is derived: a
column with a default has values that nobody gave, and some rows do not outlive a process.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import asyncpg

from digitwin.errors import InvalidStateError
from digitwin.kernel.migrations.files import Migration

_BOOKS = {"aerich", "digitwin_schema"}
_STATEMENT = re.compile(r";\s*(?:\n|$)")
_TABLES = re.compile(r"DROP TABLE (?:IF EXISTS )?([\w\s,\"]+)")
_ALTERED = re.compile(r"ALTER TABLE (?:IF EXISTS )?(?:ONLY )?\"?(\w+)")
_COLUMN = re.compile(r"DROP COLUMN (?:IF EXISTS )?\"?(\w+)")


async def refuse(connection: asyncpg.Connection, migration: Migration) -> None:
    """Refuse to revert the migration if that loses data.

    Raises:
        InvalidStateError: names what would be lost, and says what to do.
    """
    lost = [what async for what in _found(connection, migration)]
    if lost:
        raise InvalidStateError(
            f"Reverting {migration.name} would lose {', '.join(lost[:5])}"
            f"{f' and {len(lost) - 5} more' if len(lost) > 5 else ''}, and no upgrade brings that"
            " back: keep this version (an older release works on it as far as `oldest_reader`"
            " allows), or make a backup and pass --lose-data",
            migration=migration.name,
            lost=lost,
        )


async def _found(connection: asyncpg.Connection, migration: Migration) -> AsyncIterator[str]:
    queries = {**dict(_dropped(await migration.downgrade())), **migration.loses}
    for what, query in queries.items():
        if await connection.fetchval(query):
            yield what


def _dropped(script: str) -> Iterator[tuple[str, str]]:
    """Return each dropped table and column, with the query that finds rows or values in it."""
    for statement in _STATEMENT.split(script):
        for names in _TABLES.findall(statement):
            for table in re.findall(r"\w+", names):
                if table not in _BOOKS and table not in {"CASCADE", "RESTRICT"}:
                    yield f"rows of {table}", f"SELECT EXISTS (SELECT FROM {table})"
        altered = _ALTERED.search(statement)
        table = altered[1] if altered else ""
        for column in _COLUMN.findall(statement):
            query = f'SELECT EXISTS (SELECT FROM {table} WHERE "{column}" IS NOT NULL)'
            yield f"{table}.{column}", query
