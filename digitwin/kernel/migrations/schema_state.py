"""The version of a database's schema, and whether this package supports it.

``digitwin_schema`` holds the number of applied migrations and the lowest package version that can
use the schema. Aerich's table lists the migrations, including those that run outside a
transaction and cannot update ``digitwin_schema``. A package older than the schema works as long
as it is not below that version, which allows rolling deployments and rollbacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from digitwin.errors import ConfigurationError, MigrationRequiredError

APP = "digitwin"
"""Our app name in Aerich's table, which other applications may share."""

_STATE = """
SELECT pg_backend_pid() AS process, digitwin_schema.version, oldest_reader,
       ARRAY(SELECT aerich.version::text FROM aerich WHERE app = $1) AS applied
FROM digitwin_schema
"""
_TAKEN = """
SELECT relname FROM pg_class
WHERE pg_table_is_visible(oid) AND relname = ANY($1::text[])
ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class SchemaState:
    """State of the schema, compared with this package's migrations."""

    version: int
    """Number of applied migrations; 0: no schema."""
    oldest_reader: int
    applied: tuple[str, ...]
    pending: tuple[str, ...]
    """Migrations of this package that are not applied, in order."""
    unknown: tuple[str, ...]
    """Applied migrations that this package does not have."""

    def refusal(self, known: int) -> MigrationRequiredError | None:
        """Return why a package with this many migrations cannot use the schema, or None."""
        details = {"schema_version": self.version, "package_version": known}
        if self.pending and self.unknown:
            return MigrationRequiredError(
                "The database schema and this package have different migration histories: this"
                f" package lacks {self.unknown[0]}, the schema lacks {self.pending[0]}",
                **details,
            )
        if self.pending:
            has = f"has version {self.version} of {known}" if self.version else "is empty"
            return MigrationRequiredError(
                f"The database schema {has}: run `digitwin db upgrade`,"
                " or connect with migrate='auto'",
                pending=list(self.pending),
                **details,
            )
        if self.oldest_reader > known:
            return MigrationRequiredError(
                f"The database schema has version {self.version}, which requires a newer digitwin"
                f" than this one (version {known}): upgrade the package",
                oldest_reader=self.oldest_reader,
                **details,
            )
        return None


async def look(connection: asyncpg.Connection) -> Any:
    """Return the record of the schema, and the server ``process`` that answered.

    Args:
        connection: its search path selects the schema.

    Returns:
        The record; None if there is no schema.
    """
    try:
        return await connection.fetchrow(_STATE, APP)
    except asyncpg.UndefinedTableError:
        return None


async def compare(
    connection: asyncpg.Connection,
    row: Any,
    known: Sequence[str],
    tables: Callable[[], Sequence[str]],
) -> SchemaState:
    """Compare the record with this package; a query follows if there is none.

    Args:
        connection: where :func:`look` found it.
        row: the record.
        known: names of this package's migrations, in order.
        tables: returns the tables they create.

    Raises:
        ConfigurationError: the schema contains other applications' tables with these names.
    """
    if row is None:
        await _refuse_foreign_tables(connection, tables())
        return SchemaState(0, 1, (), tuple(known), ())
    applied = set(row["applied"])
    return SchemaState(
        max(row["version"], len(applied)),
        row["oldest_reader"],
        tuple(name for name in known if name in applied),
        tuple(name for name in known if name not in applied),
        tuple(sorted(applied.difference(known))),
    )


async def _refuse_foreign_tables(connection: asyncpg.Connection, tables: Sequence[str]) -> None:
    taken = [row["relname"] for row in await connection.fetch(_TAKEN, list(tables))]
    if taken:
        schema = await connection.fetchval("SELECT current_schema()")
        raise ConfigurationError(
            f"The schema `{schema}` contains {', '.join(taken[:3])} of another application:"
            " set DIGITWIN_SCHEMA to a separate schema",
            field="schema",
            tables=taken,
        )
