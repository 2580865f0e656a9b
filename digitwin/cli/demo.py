"""``digitwin demo``: what a live twin's data life looks like, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from digitwin.cli import output

if TYPE_CHECKING:
    from digitwin.demo.performance import Performance
    from digitwin.demo.stage import Scene


def demo() -> None:
    """Let a guest talk to a seeded user's twin, on an embedded PostgreSQL of its own.

    Every tick was checked before it is printed; a step that fails ends it with code 1. The
    database stays in .digitwin, to be looked at and for the next time.
    """
    if output.current().url is not None:
        raise output.CommandError("The demo runs on the embedded server: leave --url out")
    performance = output.run(_performed)
    if output.current().json:
        output.show(performance.as_dict())
    else:
        _tell_the_end(performance)
    if not performance.ok:
        raise typer.Exit(1)


def register(app: typer.Typer, db: typer.Typer) -> None:
    app.command("demo")(demo)


async def _performed() -> Performance:
    from rich.console import Console

    from digitwin.demo.performance import perform
    from digitwin.demo.telling import tell_scene

    console = Console(highlight=False, quiet=output.current().json)

    def tell(number: int, scene: Scene) -> None:
        tell_scene(console, number, scene)

    return await perform(tell)


def _tell_the_end(performance: Performance) -> None:
    from rich.console import Console

    from digitwin.demo.telling import tell_failure, tell_next, tell_share

    console = Console(highlight=False)
    if performance.share is None:
        tell_failure(console, performance.scenes)
        return
    tell_share(console, performance.share)
    tell_next(console)
