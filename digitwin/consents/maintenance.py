"""Maintenance of consents."""

from __future__ import annotations

from functools import partial

from digitwin.consents.expiry import deactivate_expired
from digitwin.consents.fields import Permits
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.maintenance import MaintenanceStep


def steps(core: Core, permits: Permits) -> tuple[MaintenanceStep, ...]:
    """Return the maintenance steps of this domain, in the order in which they run."""
    return (
        MaintenanceStep(
            "expired_consents",
            "voices and faces deactivated whose consent expired",
            partial(deactivate_expired, permits, core),
        ),
    )
