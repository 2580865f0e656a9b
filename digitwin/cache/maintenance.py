"""Maintenance of the cache."""

from __future__ import annotations

from digitwin.cache.repository import CacheRepository
from digitwin.kernel.execution.maintenance import MaintenanceStep


def steps(cache: CacheRepository) -> tuple[MaintenanceStep, ...]:
    """The maintenance of this domain, in the order in which it runs."""
    return (
        MaintenanceStep("cache_rows", "expired cache rows removed", cache.purge_expired),
        MaintenanceStep(
            "cache_evicted", "oldest cache rows evicted where a store is full", cache.make_room
        ),
    )
