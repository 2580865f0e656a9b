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
        bool, typer.Option("--force", help="Allow a database on another machine.")
    ] = False,
) -> None:
    """Add two example users with models, documents, sessions and audit records. Idempotent.

    The users are ada@example.com (pro) and ben@example.com (free). Existing rows are not
    changed; deleted ones are restored.
    """
    from digitwin.kernel.connection import dsn
    from digitwin.settings import Settings

    target = dsn.resolve(Settings(), output.current().url)
    if target is not None and not force:
        output.require_local(target, "add example users", "pass --force to do it anyway")
    seeded = output.run(_seed)
    output.show(seeded, _as_text(seeded))


def register(app: typer.Typer, db: typer.Typer) -> None:
    app.command("seed")(seed)


async def _seed() -> Seeded:
    from digitwin.seeding import seed

    async with output.connect() as db:
        return await seed(db)


def _as_text(seeded: Seeded) -> str:
    added = {name.replace("_", " "): count for name, count in asdict(seeded).items() if count}
    if not added:
        return "Nothing to add: all example data exists"
    rows = "\n".join(f"{count:>9,}  {name}" for name, count in added.items())
    return f"{rows}\nadded for ada@example.com (pro) and ben@example.com (free)"
