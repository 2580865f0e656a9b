"""Maintenance of deletions."""

from __future__ import annotations

from functools import partial

from digitwin.kernel.execution.maintenance import MaintenanceStep
from digitwin.users.retention import DeletionRetention


def steps(deletions: DeletionRetention, retention_seconds: float) -> tuple[MaintenanceStep, ...]:
    """The maintenance of this domain, in the order in which it runs."""
    return (
        MaintenanceStep(
            "final_deletions",
            "deletions made final after their retention",
            partial(deletions.make_final, retention_seconds),
        ),
    )
