"""``digitwin audit``: the trail compared with its seals, and brought to other systems."""

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

audit = typer.Typer(no_args_is_help=True, help="The audit trail: verify and export it.")

FLUSHED = 500
"""Lines written at once."""


@audit.command("verify")
def verify(
    archive: Annotated[
        Path | None, typer.Option("--archive", help="A file of archived records, by itself.")
    ] = None,
) -> None:
    """Compare every record with its seal, every seal with the next, and heads kept outside.

    Names each record that was changed, removed, inserted or moved, and ends with code 1.
    """
    found = output.run(lambda: _verified(archive and archive.expanduser()))
    output.show({"ok": found.ok, **_plain(found)}, _told(found))
    if not found.ok:
        raise typer.Exit(1)


@audit.command("export")
def export(
    since: Annotated[
        str | None, typer.Option("--since", help="A day or a moment (UTC), included.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="A day or a moment (UTC), not included.")
    ] = None,
    after: Annotated[
        str | None, typer.Option("--after", help="Go on behind this line's cursor.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="Append to a file, from where it ends.")
    ] = None,
    unsealed: Annotated[
        bool, typer.Option("--unsealed", help="At the end, also what no seal holds yet.")
    ] = False,
    schema: Annotated[
        str | None, typer.Option("--schema", help="Print a table's schema instead: bigquery.")
    ] = None,
) -> None:
    """Stream sealed records as lines in JSON, in the order of their seals.

    After a break: --after with the last line's cursor, or --to with the same file again. For
    BigQuery: bq load --source_format=NEWLINE_DELIMITED_JSON DATASET.audit_logs FILE SCHEMA
    """
    if schema is not None:
        _show_schema(schema)
        return
    if to is not None and (after is not None or unsealed):
        raise typer.BadParameter("--to goes on by itself: without --after and --unsealed")
    asked = {"since": _moment(since), "until": _moment(until)}
    if to is None:
        output.run(lambda: _exported(sys.stdout.buffer, after, asked, unsealed))
        return
    from digitwin.audit import exporting

    file, cursor = exporting.open_to_continue(to.expanduser())
    with file:
        lines = output.run(lambda: _exported(file, cursor, asked, False))
    output.show({"lines": lines}, f"{lines:>9,}  records written to {to}")


def register(app: typer.Typer, db: typer.Typer) -> None:
    app.add_typer(audit, name="audit")


def _show_schema(name: str) -> None:
    from digitwin.audit.exporting import BIGQUERY

    if name != "bigquery":
        raise typer.BadParameter("--schema knows bigquery")
    typer.echo(json.dumps(BIGQUERY, indent=2))


def _moment(text: str | None) -> datetime | None:
    from datetime import UTC

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text} is neither a day nor a moment, as 2026-05-01") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def _verified(archive: Path | None) -> AuditVerification:
    if archive is not None:
        from digitwin.audit import archive as archives, signing
        from digitwin.settings import Settings

        settings = Settings()
        signers = signing.signers_of(settings, settings.home)
        return await archives.verify(archive, signers)
    async with output.connect() as db:
        return await db.audit.verify()


async def _exported(file: Any, after: str | None, asked: dict[str, Any], unsealed: bool) -> int:
    from digitwin.audit.exporting import START, to_line

    lines = 0
    async with output.connect() as db:
        some: list[bytes] = []
        async for record in db.audit.export(after=after or START, unsealed=unsealed, **asked):
            some.append(to_line(record))
            if len(some) == FLUSHED:
                lines += _flush(file, some)
        lines += _flush(file, some)
    return lines


def _flush(file: Any, some: list[bytes]) -> int:
    written = len(some)
    file.write(b"".join(some))
    file.flush()
    some.clear()
    return written


def _plain(found: AuditVerification) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(found)


def _told(found: AuditVerification) -> str:
    named = [(fault, str(fault.record_id or "-")) for fault in found.faults]
    faults = [f"{fault.kind:<10} {record:<36}  {fault.detail}" for fault, record in named]
    signed = {
        "checked": "signatures checked",
        "unchecked": "signatures not checked: no key is known here (DIGITWIN_AUDIT_KEY)",
        "none": "nothing is signed: whoever edits the database can make new seals as well",
    }
    figures = (
        f"{found.records:,} records, {found.sealed:,} of them sealed under {found.seals:,} seals",
        f"{found.erased:,} hold something that was erased with a person",
        signed[found.signatures],
    )
    verdict = "The trail is in order" if found.ok else f"{len(found.faults):,} faults"
    return "\n".join((*faults, *figures, verdict))
