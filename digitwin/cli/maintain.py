"""``digitwin db maintain``: run maintenance manually or from cron."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from digitwin.cli import figures, output

if TYPE_CHECKING:
    from digitwin.conversations.retention.preview import RetentionPreview
    from digitwin.kernel.execution.maintenance import Count, MaintenanceReport, MaintenanceStep


def maintain(
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what session_retention would remove; change nothing."),
    ] = False,
) -> None:
    """Run maintenance once: remove expired rows, apply retention, seal the audit trail.

    Works in small batches. Safe while the service is running, and from several machines.
    """
    if dry_run:
        preview = output.run(_previewed)
        output.show(preview, "\n".join(_preview_lines(preview)))
        return
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


async def _previewed() -> RetentionPreview:
    async with output.connect() as db:
        return await db.preview_retention()


def _preview_lines(preview: RetentionPreview) -> Iterator[str]:
    yield (
        f"would remove {preview.sessions:,} sessions, {preview.turns:,} turns,"
        f" {preview.bytes:,} bytes"
    )
    yield from figures.lines({"tiers": figures.plain(preview.tiers)})


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
