"""Maintenance of the limiter."""

from __future__ import annotations

from functools import partial

from digitwin.kernel.execution.maintenance import MaintenanceStep
from digitwin.limits.repository import RateLimitRepository


def steps(limits: RateLimitRepository, retention_seconds: float) -> tuple[MaintenanceStep, ...]:
    """The maintenance of this domain, in the order in which it runs."""
    return (
        MaintenanceStep(
            "limit_buckets", "idle rate limits removed", partial(limits.purge, retention_seconds)
        ),
    )
