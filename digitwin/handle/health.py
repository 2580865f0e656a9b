"""Health of a handle, for probes and dashboards."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from digitwin.audit import sealing
from digitwin.conversations.recorder.flushing import RecorderHealth, Recorders
from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.execution import opening
from digitwin.kernel.execution.core import Core
from digitwin.kernel.migrations import upgrade

_INHERITED = "The handle was opened in the process that this one was forked from"


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
    audit_unsealed: int | None = None
    """Audit records without a seal, counted up to 10,000; None as above."""
    read_only: bool | None = None
    """Whether the server accepts no writes, such as a standby. ``ok`` is then false, unless
    ``target_session_attrs`` asks for such a server."""
    recorders: RecorderHealth | None = None
    """State of the handle's recorders; None in a process forked from the one that opened it."""


async def check_health(core: Core, target: Target) -> Health:
    """Check server, schema and pool over a separate connection; never raises."""
    started = time.perf_counter()
    if core.inherited:
        return Health(False, None, None, None, None, PoolHealth(0, 0, 0, 0), _INHERITED)
    pool = PoolHealth(core.pool.size, core.pool.idle, core.pool.in_use, core.pool.waiting)
    recorders = core.shared(Recorders).health()
    try:
        connection = await opening.connect_once(core.settings, target, any_role=True)
        try:
            read_only = await connection.fetchval("SHOW transaction_read_only") == "on"
            state = await upgrade.state(connection)
            version = opening.server_version(connection)
            seconds, records = await _unsealed(connection)
        finally:
            await opening.close_once(connection)
    except Exception as error:  # noqa: BLE001 - a probe reports every failure
        return Health(False, None, None, None, None, pool, str(error), recorders=recorders)
    refusal = _refusal(core, read_only)
    return Health(
        ok=refusal is None,
        latency_ms=(time.perf_counter() - started) * 1000,
        server_version=version,
        schema_version=state.version,
        pending_migrations=len(state.pending),
        pool=pool,
        error=refusal,
        audit_unsealed_seconds=seconds,
        audit_unsealed=records,
        read_only=read_only,
        recorders=recorders,
    )


async def is_ready(core: Core) -> bool:
    """Return whether calls of this handle can succeed here and now; never raises.

    A pool whose server turns out to be read-only is renewed, as after a refused write.
    """
    if core.closing or asyncio.get_running_loop() is not core.loop:
        return False
    try:
        read_only = await core.aside.fetchval("SHOW transaction_read_only") == "on"
    except Exception:  # noqa: BLE001 - a probe takes every failure for a no
        return False
    if read_only and not core.reads_only:
        core.pool.renew(pause=0)
        return False
    return True


def _refusal(core: Core, read_only: bool) -> str | None:
    """Return why the handle is not healthy although its server answers, or None."""
    if core.closing:
        return "The handle is closing"
    if read_only and not core.reads_only:
        return "The server is read-only, such as a standby: it accepts no writes"
    return None


async def _unsealed(connection: sealing.FetchesRow) -> tuple[float | None, int | None]:
    try:
        return await sealing.unsealed(connection)
    except Exception:  # noqa: BLE001 - this login may not read the trail; report the rest
        return None, None
