"""``digitwin privacy``: all of a person's data, and all of it gone."""

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

privacy = typer.Typer(no_args_is_help=True, help="A person's right to their data.")

User = Annotated[str, typer.Argument(metavar="USER", help="The person's id, or e-mail address.")]


@privacy.command("export")
def export(
    user: User,
    file: Annotated[Path, typer.Option("--output", help="The zip file to write; never over one.")],
) -> None:
    """Write everything that is held about a person to one archive, for your eyes alone."""
    if file.exists():
        raise output.CommandError(f"{file} exists")
    size = output.run(lambda: _exported(user, file))
    output.show({"file": str(file), "bytes": size}, f"{file}: {size:,} bytes")


@privacy.command("erase")
def erase(
    user: User,
    reason: Annotated[str, typer.Option(help="Why, in a few words; it is kept, so name nobody.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Look through the whole database afterwards.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove everything that is held about a person, for good: nothing brings it back."""
    if not yes:
        _agreed(user)
    receipt = output.run(lambda: _erased(user, reason, verify))
    output.show(receipt, "\n".join(_told(receipt)))
    if receipt.scan is not None and not receipt.scan:
        raise typer.Exit(1)


@privacy.command("replay")
def replay() -> None:
    """Erase again whom the ledger (DIGITWIN_ERASURE_LEDGER) names: after restoring a backup."""
    report = output.run(_replayed)
    output.show(
        report,
        f"{report.entries:,} known to be erased; erased again: {report.users:,} people,"
        f" {report.participants:,} participants",
    )


@privacy.command("receipts")
def show_receipts(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest first.")] = 50,
) -> None:
    """List erasures: when, why, how much, and what still waits to be deleted elsewhere."""
    receipts = output.run(lambda: _receipts(limit))
    output.show({"receipts": receipts}, "\n".join(map(_line, receipts)) or "Nobody was erased")


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


def _agreed(user: str) -> None:
    if output.current().json or not sys.stdin.isatty():
        raise output.CommandError(f"This erases {user} for good: say so with --yes")
    if not typer.confirm(f"This erases {user} for good. Go on?", err=True):
        raise output.CommandError("Nothing was changed")


def _told(receipt: ErasureReceipt) -> list[str]:
    counts = [f"{count:>9,}  {table}" for table, count in receipt.counts.items() if count]
    lines = [f"Erased; receipt {receipt.id}", *counts]
    if receipt.pending_artifacts:
        lines.append(f"{receipt.pending_artifacts:>9,}  voices and faces wait for the hook")
    if receipt.scan is not None:
        lines += [
            *(
                f"still there: {t.what} in {t.table}.{t.column} ({t.rows})"
                for t in receipt.scan.traces
            ),
            *(f"could not be read: {table}" for table in receipt.scan.unread),
        ] or ["Nothing is left in any table"]
    return lines


def _line(receipt: ErasureReceipt) -> str:
    when = receipt.completed_at
    done = f"{when:%Y-%m-%d %H:%M}" if when else "broken off: erase again, or replay"
    waits = f"; {receipt.pending_artifacts} artifacts wait" if receipt.pending_artifacts else ""
    rows = f"{sum(receipt.counts.values()):,} rows"
    return f"{receipt.id}  {receipt.subject:<11}  {done}  {rows}{waits}  {receipt.reason}"


async def _id_of(db: Database, user: str) -> UUID | str:
    if "@" not in user:
        return user
    people = db.for_service(reason="digitwin privacy: whose address it is").users
    return (await people.get_by_email(user)).id
