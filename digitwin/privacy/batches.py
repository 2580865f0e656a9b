"""Statements that remove or change a table's rows in batches, to keep each of them short."""

from __future__ import annotations

from typing import Any, Final

from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.sql.queries import Queries, Query
from digitwin.kernel.sql.tables import Table

BATCH: Final = 5000
"""Rows of one statement."""

QUERIES = Queries(__package__)


def erase_batch(table: Table, found_by: str) -> Query:
    """Return the statement that deletes a batch of a table's rows."""
    return QUERIES.variant("erase_batch", table=table.name, **_key(table), found_by=found_by)


def redact_batch(table: Table, found_by: str, sets: str) -> Query:
    """Return the statement that changes a batch of a table's rows."""
    query = "redact_batch"
    return QUERIES.variant(query, table=table.name, **_key(table), found_by=found_by, sets=sets)


async def all_batches(on: Statements, query: Query, **values: Any) -> int:
    """Run a statement until no row is left; return how many there were."""
    done, batch = 0, BATCH
    while batch == BATCH:
        batch = await on.fetchval(query, **values, batch=BATCH)
        done += batch
    return done


def _key(table: Table) -> dict[str, str]:
    key = table.data.key
    same = " AND ".join(f"held.{name} = chosen.{name}" for name in key)
    return {"key": ", ".join(key), "same": same}
