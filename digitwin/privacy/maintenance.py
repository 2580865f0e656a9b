"""Maintenance after erasures."""

from __future__ import annotations

from digitwin.kernel.execution.maintenance import MaintenanceStep
from digitwin.privacy.repository import Privacy


def steps(privacy: Privacy) -> tuple[MaintenanceStep, ...]:
    """The maintenance of this domain, in the order in which it runs."""
    return (
        MaintenanceStep(
            "artifacts_deleted",
            "voices, faces and files of sessions deleted from external storage",
            privacy.deliver,
        ),
        MaintenanceStep(
            "late_writes",
            "rows removed that were written for a person after their erasure",
            privacy.sweep,
        ),
    )
