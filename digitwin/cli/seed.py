"""``digitwin seed``: two users to try things with."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from digitwin.cli import output

if TYPE_CHECKING:
    from digitwin.seeding import Seeded


def seed(
    force: Annotated[
        bool, typer.Option("--force", help="Also into a database on another machine.")
    ] = False,
) -> None:
    """Add two users with models, documents, sessions and an audit trail; safe to run twice.

    They are the same on every run: ada@example.com (pro) and ben@example.com (free). What is
    there stays as it is, and what was deleted is restored.
    """
    from digitwin.kernel.connection import dsn
    from digitwin.settings import Settings

    target = dsn.resolve(Settings(), output.current().url)
    if target is not None and not force:
        output.require_local(target, "add made-up people", "--force does it all the same")
    seeded = output.run(_seeded)
    output.show(seeded, _told(seeded))


def register(app: typer.Typer, db: typer.Typer) -> None:
    app.command("seed")(seed)


async def _seeded() -> Seeded:
    from digitwin.seeding import seed

    async with output.connect() as db:
        return await seed(db)


def _told(seeded: Seeded) -> str:
    added = {name.replace("_", " "): count for name, count in asdict(seeded).items() if count}
    if not added:
        return "Everything was there already"
    rows = "\n".join(f"{count:>9,}  {name}" for name, count in added.items())
    return f"{rows}\nadded for ada@example.com (pro) and ben@example.com (free)"
