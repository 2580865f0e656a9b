"""``digitwin seed``: example data."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from digitwin.cli import output

if TYPE_CHECKING:
    from digitwin.seeding import Seeded


def seed(
    force: Annotated[
        bool, typer.Option("--force", help="Allow a server other than the embedded one.")
    ] = False,
) -> None:
    """Add two example users with models, documents, sessions and audit records. Idempotent.

    The users are ada@example.com (pro) and ben@example.com (free). Existing rows are not
    changed; deleted ones are restored. Refused on a server other than the embedded one.
    """
    seeded = output.run(lambda: _seed(force))
    output.show(seeded, _as_text(seeded))


def register(app: typer.Typer, db: typer.Typer) -> None:
    app.command("seed")(seed)


async def _seed(force: bool) -> Seeded:
    from digitwin.kernel.connection import dsn
    from digitwin.seeding import seed
    from digitwin.settings import Settings

    settings = Settings()
    target = dsn.resolve(settings, output.current().url)
    if target is not None and not force:
        await output.require_embedded(target, target.apply_to(settings), "add example users")
    async with output.connect() as db:
        return await seed(db)


def _as_text(seeded: Seeded) -> str:
    added = {name.replace("_", " "): count for name, count in asdict(seeded).items() if count}
    if not added:
        return "Nothing to add: all example data exists"
    rows = "\n".join(f"{count:>9,}  {name}" for name, count in added.items())
    return f"{rows}\nadded for ada@example.com (pro) and ben@example.com (free)"
