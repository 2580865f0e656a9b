"""Maintenance of consents."""

from __future__ import annotations

from functools import partial

from digitwin.consents.expiry import deactivate_expired
from digitwin.consents.statements import Allowed
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.maintenance import MaintenanceStep


def steps(core: Core, allowed: Allowed) -> tuple[MaintenanceStep, ...]:
    """The maintenance of this domain, in the order in which it runs."""
    return (
        MaintenanceStep(
            "expired_consents",
            "voices and faces deactivated whose consent expired",
            partial(deactivate_expired, allowed, core),
        ),
    )
