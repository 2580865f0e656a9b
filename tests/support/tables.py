"""The registry of tables, complete: tests take their lists from it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from digitwin.database import Database
from digitwin.kernel.execution.opening import wire_models
from digitwin.kernel.sql.queries import compiled
from digitwin.kernel.sql.tables import TABLES, Table, personal

wire_models()

SECURED = {name: table.person for name, table in TABLES.items() if table.rights.row_security}
"""Tables under row security, with the column that says whose a row is."""
PERSONAL = personal()
"""Tables that hold something of a person."""
IMPERSONAL = [table for table in TABLES.values() if table.personal is None]


async def count_of(db: Database, table: Table, person: UUID) -> int:
    """Rows of a person in a table, as the superuser sees them."""
    query = compiled(f"SELECT count(*) FROM {table.name} WHERE {table.data.found_by}")
    count: int = await db._core.db.fetchval(query, person=person)
    return count


async def tables_with(db: Database, person: UUID) -> list[str]:
    """Tables with anything of a person."""
    return [table.name for table in PERSONAL if await count_of(db, table, person)]


def name_of(value: Any) -> str:
    """For the ids of parametrized tests."""
    return value.name if isinstance(value, Table) else str(value)
