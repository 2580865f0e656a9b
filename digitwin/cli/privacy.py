"""``digitwin privacy``: export and erase a person's data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from digitwin.cli import output

if TYPE_CHECKING:
    from digitwin.database import Database
    from digitwin.privacy.erasure_replay import ReplayReport
    from digitwin.privacy.receipts import ErasureReceipt

privacy = typer.Typer(no_args_is_help=True, help="Export and erase a person's data.")

User = Annotated[str, typer.Argument(metavar="USER", help="Id or e-mail address of the person.")]


@privacy.command("export")
def export(
    user: User,
    file: Annotated[Path, typer.Option("--output", help="The zip file to write; must not exist.")],
) -> None:
    """Export everything held about a person to a zip file that only you can read."""
    if file.exists():
        raise output.CommandError(f"{file} exists already")
    size = output.run(lambda: _exported(user, file))
    output.show({"file": str(file), "bytes": size}, f"{file}: {size:,} bytes")


@privacy.command("erase")
def erase(
    user: User,
    reason: Annotated[
        str, typer.Option(help="Why. It is kept, so it should not identify anybody.")
    ],
    verify: Annotated[
        bool, typer.Option("--verify", help="Scan the whole database afterwards.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Delete everything held about a person. This cannot be undone.

    With --verify, exits with code 1 if the scan still finds something.
    """
    if not yes:
        _confirm(user)
    receipt = output.run(lambda: _erased(user, reason, verify))
    output.show(receipt, "\n".join(_receipt_lines(receipt)))
    if receipt.scan is not None and not receipt.scan:
        raise typer.Exit(1)


@privacy.command("replay")
def replay() -> None:
    """Erase again everybody that a restored backup brought back.

    Compares the database with the ledger (DIGITWIN_ERASURE_LEDGER). Run it after every restore.
    """
    report = output.run(_replayed)
    output.show(
        report,
        f"{report.entries:,} erasures on record; erased again: {report.users:,} people,"
        f" {report.participants:,} participants",
    )


@privacy.command("receipts")
def show_receipts(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 50,
) -> None:
    """List erasures: when, why, how many rows, and which artifacts are pending."""
    receipts = output.run(lambda: _receipts(limit))
    output.show({"receipts": receipts}, "\n".join(map(_summary, receipts)) or "No erasures")


def register(app: typer.Typer, db: typer.Typer) -> None:
    app.add_typer(privacy, name="privacy")


async def _exported(user: str, file: Path) -> int:
    async with output.connect() as db:
        return await db.privacy.export(await _id_of(db, user)).write_to(file)


async def _erased(user: str, reason: str, verify: bool) -> ErasureReceipt:
    async with output.connect() as db:
        person = await _id_of(db, user)
        return await db.privacy.erase(person, reason=reason, verify=verify)


async def _replayed() -> ReplayReport:
    async with output.connect() as db:
        return await db.privacy.replay()


async def _receipts(limit: int) -> list[ErasureReceipt]:
    async with output.connect() as db:
        return list((await db.privacy.receipts(limit=limit)).items)


def _confirm(user: str) -> None:
    if output.current().json or not sys.stdin.isatty():
        raise output.CommandError(f"This erases {user} permanently: pass --yes to confirm")
    if not typer.confirm(f"This erases {user} permanently. Continue?", err=True):
        raise output.CommandError("Aborted, nothing was changed")


def _receipt_lines(receipt: ErasureReceipt) -> list[str]:
    counts = [f"{count:>9,}  {table}" for table, count in receipt.counts.items() if count]
    lines = [f"Erased; receipt {receipt.id}", *counts]
    if receipt.pending_artifacts:
        lines.append(f"{receipt.pending_artifacts:>9,}  artifacts pending deletion")
    if receipt.scan is not None:
        lines += [
            *(
                f"still found: {t.what} in {t.table}.{t.column} ({t.rows})"
                for t in receipt.scan.traces
            ),
            *(f"not readable: {table}" for table in receipt.scan.unread),
        ] or ["The scan found nothing"]
    return lines


def _summary(receipt: ErasureReceipt) -> str:
    when = receipt.completed_at
    done = f"{when:%Y-%m-%d %H:%M}" if when else "interrupted: erase again, or replay"
    pending = (
        f"; {receipt.pending_artifacts} artifacts pending" if receipt.pending_artifacts else ""
    )
    rows = f"{sum(receipt.counts.values()):,} rows"
    return f"{receipt.id}  {receipt.subject:<11}  {done}  {rows}{pending}  {receipt.reason}"


async def _id_of(db: Database, user: str) -> UUID | str:
    if "@" not in user:
        return user
    people = db.for_service(reason="digitwin privacy: look up the person by e-mail").users
    return (await people.get_by_email(user)).id
