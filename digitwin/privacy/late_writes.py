"""What came for somebody after they were erased: rows of tables that have no foreign key.

The cache refuses them in its own statements. The limiter does not, for a decision must not pay
for it; what a request that was under way has left is removed here, by the hash of its id.
"""

from __future__ import annotations

from typing import Final

from digitwin.kernel.execution.core import Core
from digitwin.kernel.sql.queries import load

LOOK_BACK: Final = 7 * 86_400.0
"""Seconds after an erasure in which strays are looked for."""

_SQL = load(__package__)
_WHOSE: Final = {
    "rate_limits": "subject",
    "rate_limit_usage": "subject",
    "embedding_cache": "user_id::text",
    "vector_search_cache": "user_id::text",
    "llm_response_cache": "user_id::text",
}


class Strays:
    """Looks through whole tables, but only within a week of an erasure."""

    def __init__(self, core: Core) -> None:
        self._db = core.aside

    async def sweep(self) -> int:
        """Remove them; how many there were."""
        if not await self._db.fetchval(_SQL["erased_lately"], LOOK_BACK):
            return 0
        removed = 0
        for table, whose in _WHOSE.items():
            sql = _SQL["sweep_strays"].format(table=table, whose=whose)
            removed += await self._db.fetchval(sql, LOOK_BACK)
        return removed
