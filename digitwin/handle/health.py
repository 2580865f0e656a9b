"""Health of a handle, for probes and dashboards."""

from __future__ import annotations

import time
from dataclasses import dataclass

from digitwin.audit import sealing
from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.execution import opening
from digitwin.kernel.execution.core import Core
from digitwin.kernel.migrations import upgrade


@dataclass(frozen=True, slots=True)
class PoolHealth:
    """Connections of the pool; the probe's own connection is not counted."""

    size: int
    """Open connections."""
    idle: int
    """Open and unused."""
    in_use: int
    """In use by callers."""
    waiting: int
    """Callers waiting for a connection."""


@dataclass(frozen=True, slots=True)
class Health:
    """State of the database and the pool; ``error`` says why ``ok`` is false."""

    ok: bool
    latency_ms: float | None
    server_version: str | None
    schema_version: int | None
    pending_migrations: int | None
    pool: PoolHealth
    error: str | None = None
    audit_unsealed_seconds: float | None = None
    """Age in seconds of the oldest audit record without a seal; 0 if all are sealed, None if
    this login may not read the trail."""


async def check_health(core: Core, target: Target) -> Health:
    """Check server, schema and pool over a separate connection; never raises."""
    started = time.perf_counter()
    pool = PoolHealth(core.pool.size, core.pool.idle, core.pool.in_use, core.pool.waiting)
    try:
        connection = await opening.connect_once(core.settings, target)
        try:
            state = await upgrade.state(connection)
            version = opening.server_version(connection)
            unsealed = await _unsealed(connection)
        finally:
            await opening.close_once(connection)
    except Exception as error:  # noqa: BLE001 - a probe reports every failure
        return Health(False, None, None, None, None, pool, str(error))
    return Health(
        ok=not core.closing,
        latency_ms=(time.perf_counter() - started) * 1000,
        server_version=version,
        schema_version=state.version,
        pending_migrations=len(state.pending),
        pool=pool,
        error="The handle is closing" if core.closing else None,
        audit_unsealed_seconds=unsealed,
    )


async def _unsealed(connection: sealing.FetchesValue) -> float | None:
    try:
        return await sealing.oldest_unsealed(connection)
    except Exception:  # noqa: BLE001 - this login may not read the trail; report the rest
        return None
