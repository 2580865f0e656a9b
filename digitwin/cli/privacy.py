"""``digitwin privacy``: all of a person's data, and all of it gone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from digitwin.cli import output

if TYPE_CHECKING:
    from digitwin.database import Database

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


def register(app: typer.Typer, db: typer.Typer) -> None:
    app.add_typer(privacy, name="privacy")


async def _exported(user: str, file: Path) -> int:
    async with output.connect() as db:
        return await db.privacy.export(await _id_of(db, user)).write_to(file)


async def _id_of(db: Database, user: str) -> UUID | str:
    if "@" not in user:
        return user
    people = db.for_service(reason="digitwin privacy: whose address it is").users
    return (await people.get_by_email(user)).id
