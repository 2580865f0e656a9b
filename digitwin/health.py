"""How a handle is doing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoolHealth:
    """Connections of the pool: what callers hold, not what the probe itself uses."""

    size: int
    """Open now."""
    idle: int
    """Open and free."""
    in_use: int
    """Lent to callers."""
    waiting: int
    """Callers waiting for one."""


@dataclass(frozen=True, slots=True)
class Health:
    """One look at the database and the pool. ``error`` says why ``ok`` is false."""

    ok: bool
    latency_ms: float | None
    server_version: str | None
    schema_version: int | None
    pending_migrations: int | None
    pool: PoolHealth
    error: str | None = None
    audit_unsealed_seconds: float | None = None
    """The age of the oldest audit record without a seal; 0 where all have one, None where it
    cannot be told."""
