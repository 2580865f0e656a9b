"""Maintenance of memories."""

from __future__ import annotations

from functools import partial

from digitwin.kernel.execution.across_people import across_people
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.maintenance import MaintenanceStep
from digitwin.memories.queries import QUERIES

BATCH = 500


def steps(core: Core) -> tuple[MaintenanceStep, ...]:
    """Return the maintenance steps of this domain, in the order in which they run."""
    return (MaintenanceStep("expired_memories", "expired memories removed", partial(purge, core)),)


async def purge(core: Core) -> int:
    """Remove the memories that have expired, in short batches; return how many.

    Raises:
        ConfigurationError: row security applies to this login, and the role for work across
            people is missing or not granted to it.
    """
    core = await across_people(core)
    removed = 0
    while (batch := await core.db.fetchval(QUERIES["purge"], batch=BATCH)) > 0:
        removed += batch
    return removed
