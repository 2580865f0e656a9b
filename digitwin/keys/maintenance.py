"""Maintenance of keys."""

from __future__ import annotations

from digitwin.kernel.execution.maintenance import MaintenanceStep
from digitwin.keys.keyring import KeyRing


def steps(keys: KeyRing) -> tuple[MaintenanceStep, ...]:
    """The maintenance of this domain, in the order in which it runs."""
    return (
        MaintenanceStep(
            "keys_destroyed", "keys destroyed of people who were removed", keys.forget_removed
        ),
    )
