"""Which schema a database has, and whether this package can work with it.

``digitwin_schema`` counts the migrations that made the schema and names the oldest release,
counted the same way, that can still work with it; Aerich's own table lists them (with those
that run in no transaction, and so cannot count themselves). A release that finds a newer
schema works on as long as it is not older than that: rolling deployments and roll-backs need
no stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from digitwin.errors import ConfigurationError, MigrationRequiredError

APP = "digitwin"
"""Our name in Aerich's table, which other applications may share."""

_STATE = """
SELECT digitwin_schema.version, oldest_reader,
       ARRAY(SELECT aerich.version::text FROM aerich WHERE app = $1) AS applied
FROM digitwin_schema
"""
_TAKEN = """
SELECT relname FROM pg_class
WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relname = ANY($1::text[])
ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class SchemaState:
    """What is there, seen from this package's list of migrations."""

    version: int
    """How many migrations made it; 0 where there is none."""
    oldest_reader: int
    applied: tuple[str, ...]
    pending: tuple[str, ...]
    """What this package has and the schema has not, in order."""
    unknown: tuple[str, ...]
    """What the schema has and this package has not."""

    def refusal(self, known: int) -> MigrationRequiredError | None:
        """Why a package with so many migrations cannot work with this schema, or None."""
        details = {"schema_version": self.version, "package_version": known}
        if self.pending and self.unknown:
            return MigrationRequiredError(
                "The database schema and this package come from different histories: this"
                f" package does not know {self.unknown[0]}, the schema lacks {self.pending[0]}",
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
                f"The database schema has version {self.version}, which needs a newer digitwin"
                f" than this one (version {known}): upgrade the package",
                oldest_reader=self.oldest_reader,
                **details,
            )
        return None


async def read(
    connection: asyncpg.Connection, known: Sequence[str], tables: Sequence[str]
) -> SchemaState:
    """Look at the schema: one query where it is ours.

    Args:
        known: this package's migrations, in order.
        tables: the names they take.

    Raises:
        ConfigurationError: the schema has tables of these names that are not ours.
    """
    try:
        row = await connection.fetchrow(_STATE, APP)
    except asyncpg.UndefinedTableError:
        row = None
    if row is None:
        await _refuse_strangers(connection, tables)
        return SchemaState(0, 1, (), tuple(known), ())
    applied = set(row["applied"])
    return SchemaState(
        max(row["version"], len(applied)),
        row["oldest_reader"],
        tuple(name for name in known if name in applied),
        tuple(name for name in known if name not in applied),
        tuple(sorted(applied.difference(known))),
    )


async def _refuse_strangers(connection: asyncpg.Connection, tables: Sequence[str]) -> None:
    taken = [row["relname"] for row in await connection.fetch(_TAKEN, list(tables))]
    if taken:
        schema = await connection.fetchval("SELECT current_schema()")
        raise ConfigurationError(
            f"The schema `{schema}` already has {', '.join(taken[:3])}, and not from digitwin:"
            " set DIGITWIN_SCHEMA to a schema of its own",
            field="schema",
            tables=taken,
        )
