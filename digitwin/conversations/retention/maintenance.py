"""Maintenance of sessions past their retention."""

from __future__ import annotations

from digitwin.conversations.retention.sweep import SessionRetention
from digitwin.kernel.execution.maintenance import MaintenanceStep


def steps(retention: SessionRetention) -> tuple[MaintenanceStep, ...]:
    """The step, which comes after the end of idle sessions."""
    return (
        MaintenanceStep(
            "retired_sessions", "sessions removed after their retention", retention.retire
        ),
    )
