"""``digitwin audit``: verify the audit trail and export it to other systems."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from digitwin.cli import output

if TYPE_CHECKING:
    from digitwin.audit.faults import AuditVerification

audit = typer.Typer(no_args_is_help=True, help="Verify and export the audit trail.")

FLUSHED = 500
"""Lines per write."""


@audit.command("verify")
def verify(
    archive: Annotated[
        Path | None, typer.Option("--archive", help="Verify this file of archived records instead.")
    ] = None,
) -> None:
    """Verify the audit trail: records, seals, and checkpoints stored outside the database.

    Lists each record that was changed, removed, inserted or moved, and exits with code 1.
    """
    found = output.run(lambda: _verify(archive and archive.expanduser()))
    output.show({"ok": found.ok, **_plain(found)}, _as_text(found))
    if not found.ok:
        raise typer.Exit(1)


@audit.command("export")
def export(
    since: Annotated[
        str | None, typer.Option("--since", help="First day or time (UTC), inclusive.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Last day or time (UTC), exclusive.")
    ] = None,
    after: Annotated[str | None, typer.Option("--after", help="Resume after this cursor.")] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="Append to a file, resuming after its last record.")
    ] = None,
    unsealed: Annotated[
        bool, typer.Option("--unsealed", help="Also export records that are not sealed yet.")
    ] = False,
    schema: Annotated[
        str | None, typer.Option("--schema", help="Print a table schema instead: bigquery.")
    ] = None,
) -> None:
    """Export sealed records as JSON lines, in the order of their seals.

    To resume, pass the last line's cursor to --after, or the same file to --to. To load into
    BigQuery: bq load --source_format=NEWLINE_DELIMITED_JSON DATASET.audit_logs FILE SCHEMA
    """
    if schema is not None:
        _show_schema(schema)
        return
    if to is not None and (after is not None or unsealed):
        raise typer.BadParameter("--to cannot be combined with --after or --unsealed")
    period = {"since": _parse_time(since), "until": _parse_time(until)}
    if to is None:
        output.run(lambda: _exported(sys.stdout.buffer, after, period, unsealed))
        return
    from digitwin.audit import exporting

    file, cursor = exporting.open_to_continue(to.expanduser())
    with file:
        lines = output.run(lambda: _exported(file, cursor, period, False))
    output.show({"lines": lines}, f"{lines:>9,}  records written to {to}")


def register(app: typer.Typer, db: typer.Typer) -> None:
    app.add_typer(audit, name="audit")


def _show_schema(name: str) -> None:
    from digitwin.audit.exporting import BIGQUERY

    if name != "bigquery":
        raise typer.BadParameter("--schema must be bigquery")
    typer.echo(json.dumps(BIGQUERY, indent=2))


def _parse_time(text: str | None) -> datetime | None:
    from datetime import UTC

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text} is not a date or time, such as 2026-05-01") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def _verify(archive: Path | None) -> AuditVerification:
    if archive is not None:
        from digitwin.audit import archive as archives, signing
        from digitwin.settings import Settings

        settings = Settings()
        signers = signing.signers_of(settings, settings.home)
        return await archives.verify(archive, signers)
    async with output.connect() as db:
        return await db.audit.verify()


async def _exported(file: Any, after: str | None, period: dict[str, Any], unsealed: bool) -> int:
    from digitwin.audit.exporting import START, to_line

    lines = 0
    async with output.connect() as db:
        some: list[bytes] = []
        async for record in db.audit.export(after=after or START, unsealed=unsealed, **period):
            some.append(to_line(record))
            if len(some) == FLUSHED:
                lines += _flush(file, some)
        lines += _flush(file, some)
    return lines


def _flush(file: Any, batch: list[bytes]) -> int:
    written = len(batch)
    file.write(b"".join(batch))
    file.flush()
    batch.clear()
    return written


def _plain(found: AuditVerification) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(found)


def _as_text(found: AuditVerification) -> str:
    named = [(fault, str(fault.record_id or "-")) for fault in found.faults]
    faults = [f"{fault.kind:<10} {record:<36}  {fault.detail}" for fault, record in named]
    signed = {
        "checked": "signatures checked",
        "unchecked": "signatures not checked: no key is configured (DIGITWIN_AUDIT_KEY)",
        "none": "seals are not signed: anybody who can edit the database can also forge seals",
    }
    figures = (
        f"{found.records:,} records, {found.sealed:,} of them covered by {found.seals:,} seals",
        f"{found.erased:,} contain fields that were erased with a person",
        signed[found.signatures],
    )
    verdict = "The audit trail is intact" if found.ok else f"{len(found.faults):,} faults"
    notices = (f"Notice: {notice}" for notice in found.notices)
    return "\n".join((*faults, *figures, *notices, verdict))
