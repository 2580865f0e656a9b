"""Maintenance of conversations."""

from __future__ import annotations

from functools import partial

from digitwin.conversations.living.sweeping import abandon_turns, end_idle_sessions, forget_writers
from digitwin.conversations.search.indexing import index_turns
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.maintenance import MaintenanceStep


def steps(core: Core) -> tuple[MaintenanceStep, ...]:
    """Return the maintenance steps of this domain, in the order in which they run."""
    return (
        MaintenanceStep(
            "turns_abandoned",
            "open turns closed as abandoned at their last sign of life",
            partial(abandon_turns, core),
        ),
        MaintenanceStep(
            "sessions_ended",
            "idle sessions ended at their last turn's end",
            partial(end_idle_sessions, core),
        ),
        MaintenanceStep(
            "recorders_forgotten",
            "recorders forgotten that have not written for a day",
            partial(forget_writers, core),
        ),
        MaintenanceStep(
            "turns_indexed", "turns indexed for the search", partial(index_turns, core)
        ),
    )
