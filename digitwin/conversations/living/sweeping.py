"""Closes what nobody closed, turns of a process that was killed and sessions that were left.

And forgets the recorders that wrote them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from digitwin.conversations.living.writing import QUERIES
from digitwin.kernel.execution.across_people import across_people
from digitwin.kernel.execution.core import Core
from digitwin.kernel.primitives.ids import NOBODY

BATCH: Final = 500
WRITERS_KEPT: Final = 86_400.0
"""Seconds after which a recorder does not send the same write again: its process is gone, or its
session has ended."""


async def abandon_turns(core: Core) -> int:
    """Close open turns as abandoned at their last sign of life.

    That are turns that were not written to for ``open_turn_timeout`` seconds, and those whose
    session has ended more than ``late_turns`` seconds ago.

    Returns:
        How many turns.
    """
    db, settings = (await across_people(core)).db, core.settings
    values: dict[str, Any] = {
        "timeout": settings.open_turn_timeout,
        "late_turns": settings.late_turns,
        "batch": BATCH,
    }
    closed, after = 0, NOBODY
    while True:
        rows = await db.fetch(QUERIES["abandon_turns"], after=after, **values)
        closed += len(rows)
        if len(rows) < BATCH:
            return closed
        after = max(row["id"] for row in rows)


async def end_idle_sessions(core: Core) -> int:
    """End sessions without a sign of life for ``session_idle_timeout`` seconds.

    Each ends at its last turn's end, by a statement of its own.

    Returns:
        How many sessions; 0 if the setting is None or 0.
    """
    timeout = core.settings.session_idle_timeout
    if not timeout:
        return 0
    db = (await across_people(core)).db
    ended, after, values = 0, NOBODY, {"timeout": timeout}
    while rows := await db.fetch(QUERIES["idle_sessions"], after=after, batch=BATCH, **values):
        for row in rows:
            ended += await db.fetchval(QUERIES["end_idle"], **_named(row), **values)
        after = rows[-1]["id"]
    return ended


async def forget_writers(core: Core) -> int:
    """Remove what is known of recorders that have not written for a day.

    A recorder that goes on is known again with its next write.

    Returns:
        How many recorders.
    """
    db = (await across_people(core)).db
    forgotten = 0
    while True:
        rows = await db.fetch(QUERIES["forget_writers"], kept=WRITERS_KEPT, batch=BATCH)
        forgotten += len(rows)
        if len(rows) < BATCH:
            return forgotten


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"user_id": row["user_id"], "id": row["id"]}
