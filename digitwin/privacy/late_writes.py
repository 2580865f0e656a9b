"""Late writes: rows written for a person after their erasure, in tables without a foreign key.

The cache refuses them in its own statements. The limiter does not, since a decision must not
pay for it: what a request under way has left is removed here, by the hash of the person's id.
"""

from __future__ import annotations

from typing import Final

from digitwin.kernel.execution.core import Core
from digitwin.kernel.sql.queries import Queries
from digitwin.kernel.sql.tables import TABLES

LOOK_BACK: Final = 7 * 86_400.0
"""Seconds after an erasure in which late writes are looked for."""

QUERIES = Queries(__package__)


async def remove_late_writes(core: Core) -> int:
    """Remove them and return how many rows; reads whole tables, within a week of an erasure."""
    db, removed = core.aside, 0
    if not await db.fetchval(QUERIES["erased_lately"], look_back_seconds=LOOK_BACK):
        return removed
    for table in TABLES.values():
        if table.late_writes is not None:
            query = QUERIES.variant("remove_late_writes", table=table.name, whose=table.late_writes)
            removed += await db.fetchval(query, look_back_seconds=LOOK_BACK)
    return removed
