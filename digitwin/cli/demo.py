"""``digitwin demo``: a guided tour that checks every claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from digitwin.cli import output

if TYPE_CHECKING:
    from digitwin.demo.scenario import Outcome
    from digitwin.demo.scene import Scene


def demo() -> None:
    """Run a guest's conversation with a twin on the embedded PostgreSQL.

    Every claim is checked before it is printed; a failed step exits with code 1. The database
    stays in .digitwin for inspection and for the next run.
    """
    if output.current().url is not None:
        raise output.CommandError("The demo always uses the embedded server: omit --url")
    outcome = output.run(_run_demo)
    if output.current().json:
        output.show(outcome.as_dict())
    else:
        _print_end(outcome)
    if not outcome.ok:
        raise typer.Exit(1)


def register(app: typer.Typer, db: typer.Typer) -> None:
    app.command("demo")(demo)


async def _run_demo() -> Outcome:
    from rich.console import Console

    from digitwin.demo.rendering import print_scene
    from digitwin.demo.scenario import run

    console = Console(highlight=False, quiet=output.current().json)

    def show(number: int, scene: Scene) -> None:
        print_scene(console, number, scene)

    return await run(show)


def _print_end(outcome: Outcome) -> None:
    from rich.console import Console

    from digitwin.demo.rendering import print_failure, print_next, print_share

    console = Console(highlight=False)
    if outcome.share is None:
        print_failure(console, outcome.scenes)
        return
    print_share(console, outcome.share)
    print_next(console)
