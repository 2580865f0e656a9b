"""``digitwin keys``: generate and rotate master keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from digitwin.cli import output

if TYPE_CHECKING:
    from digitwin.keys.rotation import RotationReport

keys = typer.Typer(no_args_is_help=True, help="Manage encryption keys.")


@keys.command("generate")
def generate(
    file: Annotated[
        Path | None,
        typer.Option("--file", help="Write the key to a new file that only you can read."),
    ] = None,
) -> None:
    """Generate a master key for DIGITWIN_MASTER_KEY or DIGITWIN_MASTER_KEY_FILE.

    The master key encrypts people's keys, which encrypt their sensitive fields. If it is lost,
    those fields are lost: keep a copy apart from the database and its backups.
    """
    from digitwin.keys import master_keys

    if file is None:
        key = master_keys.generate()
        output.show({"master_key": key}, key)
        return
    if not master_keys.write_new(file.expanduser()):
        raise output.CommandError(
            f"{file} exists: overwriting a key would make its data unreadable"
        )
    output.show({"master_key_file": str(file)}, f"Wrote {file}")


@keys.command("rotate")
def rotate() -> None:
    """Rewrap every person's key with the current master key; data rows are not changed.

    Safe while the service is running, concurrently, and after an interruption.
    """
    report = output.run(_rotate)
    output.show(
        report,
        f"{report.rewrapped:>9,}  keys rewrapped\n{report.current:>9,}  keys already current",
    )


def register(app: typer.Typer, db: typer.Typer) -> None:
    app.add_typer(keys, name="keys")


async def _rotate() -> RotationReport:
    async with output.connect() as db:
        return await db.keys.rotate()
