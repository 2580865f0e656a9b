"""``digitwin replay``: recorded conversations through the whole stack, timed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from digitwin.cli import output
from digitwin.cli.importing import File, told_bad

if TYPE_CHECKING:
    from digitwin.replaying import Replay

_HEAD = f"{'step':<12}{'count':>9}{'p50 ms':>10}{'p95 ms':>10}{'p99 ms':>10}"


def replay(
    file: File,
    concurrency: Annotated[
        int, typer.Option(min=1, max=1000, help="How many conversations at once.")
    ] = 8,
) -> None:
    """Play conversations as a live service would, and tell how long each step took.

    Each turn asks the limiter, looks up its embedding and its response in the caches,
    searches the documents, is stored, and is audited. Each run adds sessions of its own.
    """
    report = output.run(lambda: _replayed(file, concurrency))
    output.show(report, _told(report))
    if report.bad:
        raise typer.Exit(1)


def register(app: typer.Typer, db: typer.Typer) -> None:
    app.command("replay")(replay)


async def _replayed(file: Path, concurrency: int) -> Replay:
    from digitwin.replaying import replay

    size = file.stat().st_size  # noqa: ASYNC240 - nothing else runs yet
    async with output.connect() as db:
        with output.progress("Replay", size) as advance:
            return await replay(db, file, concurrency=concurrency, progress=advance)


def _told(report: Replay) -> str:
    rows = (
        f"{name:<12}{step.count:>9,}{step.p50:>10.2f}{step.p95:>10.2f}{step.p99:>10.2f}"
        for name, step in report.steps.items()
    )
    denied = [f"{report.denied:,} turns had no budget left"] if report.denied else []
    return "\n".join(
        (
            f"{report.conversations:,} conversations, {report.turns:,} turns"
            f" in {report.seconds:.1f} s: {report.operations_per_second:,.0f} operations a second",
            *denied,
            "",
            _HEAD,
            *rows,
            *told_bad(report.bad, "lines"),
        )
    )
