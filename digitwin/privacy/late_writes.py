"""Late writes: rows written for a person after their erasure, in tables without a foreign key.

The cache refuses them in its own statements. The limiter does not check, to keep decisions fast:
rows left by requests in flight are removed here, found by the hash of the person's id.
"""

from __future__ import annotations

from typing import Final

from digitwin.kernel.execution.core import Core
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.kernel.sql.queries import Queries
from digitwin.kernel.sql.tables import TABLES
from digitwin.privacy.subjects import hash_of_user

LOOK_BACK: Final = 7 * 86_400.0
"""Seconds after an erasure during which late writes are searched."""

QUERIES = Queries(__package__)


async def remove_late_writes(core: Core) -> int:
    """Remove late writes and return the number of rows; scans whole tables, but only if somebody
    was erased within :data:`LOOK_BACK`.
    """
    db, removed = core.aside, 0
    if not await db.fetchval(QUERIES["erased_lately"], look_back_seconds=LOOK_BACK):
        return removed
    for table in TABLES.values():
        if table.late_writes is not None:
            query = QUERIES.variant("remove_late_writes", table=table.name, whose=table.late_writes)
            removed += await db.fetchval(
                query, look_back_seconds=LOOK_BACK, nobody=hash_of_user(NOBODY)
            )
    return removed
