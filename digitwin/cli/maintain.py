"""``digitwin db maintain``: upkeep by hand or by cron."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from digitwin.cli import output

if TYPE_CHECKING:
    from digitwin.maintenance import MaintenanceReport


def maintain() -> None:
    """Clear away what is past its time, in small steps beside the traffic.

    Expired cache rows, limits nobody used for long, audit records past their retention; the
    months to come of the audit trail are made ready, and its new records sealed. Safe to run
    anywhere, at any time.
    """
    report = output.run(_maintained)
    output.show(report, _told(report))


def register(app: typer.Typer, db: typer.Typer) -> None:
    db.command("maintain")(maintain)


async def _maintained() -> MaintenanceReport:
    from digitwin.maintenance import STEPS

    async with output.connect() as db:
        with output.progress("Upkeep", STEPS) as advance:
            return await db.maintain(progress=lambda step: advance(1))


def _told(report: MaintenanceReport) -> str:
    rows = sum(report.cache_rows.values())
    by_store = ", ".join(f"{store} {count:,}" for store, count in report.cache_rows.items())
    return "\n".join(
        (
            f"{rows:>9,}  expired cache rows removed ({by_store or 'no store'})",
            f"{sum(report.cache_evicted.values()):>9,}  of the oldest cache rows made room",
            f"{report.limit_buckets:>9,}  idle rate limits removed",
            f"{report.audit_records:>9,}  audit records past their retention removed",
            f"{report.final_deletions:>9,}  deletions made final",
            f"{report.audit_partitions:>9,}  months of the audit trail made ready",
            f"{report.audit_sealed:>9,}  audit records sealed",
            f"{report.expired_consents:>9,}  voices and faces whose consent ended deactivated",
            f"{report.artifacts_deleted:>9,}  voices and faces of the erased deleted",
            f"{report.stray_rows:>9,}  rows removed that came after an erasure",
            f"{report.keys_destroyed:>9,}  keys destroyed of people who were removed",
            f"in {report.duration_seconds:.2f} s",
        )
    )
