"""``digitwin keys``: the master key of what is encrypted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from digitwin.cli import output

if TYPE_CHECKING:
    from digitwin.keys.keyring import RotationReport

keys = typer.Typer(no_args_is_help=True, help="The keys of what is encrypted.")


@keys.command("generate")
def generate(
    file: Annotated[
        Path | None, typer.Option("--file", help="Write it there, for you alone; never over one.")
    ] = None,
) -> None:
    """Make a master key, for DIGITWIN_MASTER_KEY or a file for DIGITWIN_MASTER_KEY_FILE.

    Whoever has it and the people's keys reads every sensitive field; without it nobody does.
    Keep a copy where neither the database nor its backups are.
    """
    from digitwin.keys import master_keys

    if file is None:
        key = master_keys.generate()
        output.show({"master_key": key}, key)
        return
    if not master_keys.write_new(file.expanduser()):
        raise output.CommandError(f"{file} exists: a key that is lost opens nothing any more")
    output.show({"master_key_file": str(file)}, f"Written: {file}")


@keys.command("rotate")
def rotate() -> None:
    """Bring every person's key under the present master key; no row of data is touched.

    Safe beside the traffic, in several places at once, and after it was broken off.
    """
    report = output.run(_rotated)
    output.show(
        report,
        f"{report.rewrapped:>9,}  keys wrapped anew\n{report.current:>9,}  were so already",
    )


def register(app: typer.Typer, db: typer.Typer) -> None:
    app.add_typer(keys, name="keys")


async def _rotated() -> RotationReport:
    async with output.connect() as db:
        return await db.keys.rotate()
