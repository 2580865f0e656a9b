"""``digitwin replay``: load test with recorded conversations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from digitwin.cli import output
from digitwin.cli.importing import File, bad_record_lines

if TYPE_CHECKING:
    from digitwin.load_replay import LoadReplayReport

_HEAD = f"{'step':<12}{'count':>9}{'p50 ms':>10}{'p95 ms':>10}{'p99 ms':>10}"


def replay(
    file: File,
    concurrency: Annotated[
        int, typer.Option(min=1, max=1000, help="Concurrent conversations.")
    ] = 8,
) -> None:
    """Run recorded conversations as a load test and report the time of each step.

    Each turn calls the limiter, is opened, looks up its embedding and response in the cache,
    searches documents, is closed, and is audited. Every run adds new sessions. Each line of
    FILE is {"id", "user_traits", "twin_traits", "turns": [{"speaker", "text"}]}.
    """
    report = output.run(lambda: _replay(file, concurrency))
    output.show(report, _as_text(report))
    if report.bad:
        raise typer.Exit(1)


def register(app: typer.Typer, db: typer.Typer) -> None:
    app.command("replay")(replay)


async def _replay(file: Path, concurrency: int) -> LoadReplayReport:
    from digitwin.load_replay import replay

    size = file.stat().st_size  # noqa: ASYNC240 - nothing else runs yet
    async with output.connect() as db:
        with output.progress("Replay", size) as advance:
            return await replay(db, file, concurrency=concurrency, progress=advance)


def _as_text(report: LoadReplayReport) -> str:
    rows = (
        f"{name:<12}{step.count:>9,}{step.p50:>10.2f}{step.p95:>10.2f}{step.p99:>10.2f}"
        for name, step in report.steps.items()
    )
    denied = [f"{report.denied:,} turns were rate limited"] if report.denied else []
    return "\n".join(
        (
            f"{report.conversations:,} conversations, {report.turns:,} turns"
            f" in {report.seconds:.1f} s, {report.operations_per_second:,.0f} operations/s",
            *denied,
            "",
            _HEAD,
            *rows,
            *bad_record_lines(report.bad, "lines"),
        )
    )
