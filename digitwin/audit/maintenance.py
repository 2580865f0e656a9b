"""Maintenance of the audit trail."""

from __future__ import annotations

from functools import partial

from digitwin.audit.repository import AuditLogRepository
from digitwin.kernel.execution.maintenance import MaintenanceStep


def steps(audit: AuditLogRepository, retention_seconds: float) -> tuple[MaintenanceStep, ...]:
    """The maintenance of this domain, in the order in which it runs."""
    return (
        MaintenanceStep(
            "audit_partitions", "partitions created for the trail's months to come", audit.prepare
        ),
        MaintenanceStep("audit_sealed", "audit records sealed", audit.seal),
        MaintenanceStep(
            "audit_records",
            "audit records removed after their retention",
            partial(audit.purge, retention_seconds),
        ),
    )
