"""``digitwin db maintain``: run maintenance manually or from cron."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import typer

from digitwin.cli import output

if TYPE_CHECKING:
    from digitwin.kernel.execution.maintenance import Count, MaintenanceReport, MaintenanceStep


def maintain() -> None:
    """Run maintenance once: remove expired rows, apply retention, seal the audit trail.

    Works in small batches. Safe while the service is running, and from several machines.
    """
    report, steps = output.run(_maintained)
    shown = {**report.counts, "duration_seconds": report.duration_seconds}
    output.show(shown, "\n".join(_lines(report, steps)))


def register(app: typer.Typer, db: typer.Typer) -> None:
    db.command("maintain")(maintain)


async def _maintained() -> tuple[MaintenanceReport, list[MaintenanceStep]]:
    async with output.connect() as db:
        steps = db.maintenance_steps()
        with output.progress("Maintenance", len(steps)) as advance:
            return await db.maintain(progress=lambda _: advance(1)), steps


def _lines(report: MaintenanceReport, steps: list[MaintenanceStep]) -> Iterator[str]:
    for step in steps:
        count = report.counts[step.name]
        yield f"{_total(count):>9,}  {step.does}{_by_store(count)}"
    yield f"in {report.duration_seconds:.2f} s"


def _total(count: Count) -> int:
    return sum(count.values()) if isinstance(count, Mapping) else count


def _by_store(count: Count) -> str:
    if not isinstance(count, Mapping):
        return ""
    return f" ({', '.join(f'{store} {part:,}' for store, part in count.items()) or 'no store'})"
