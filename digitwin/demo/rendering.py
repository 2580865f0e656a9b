"""Renders the demo for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from digitwin.demo.reply import Share
from digitwin.demo.scene import Scene, Tick

BAR = 10
"""Characters of a full bar; fits into 80 columns beside the text."""
BUDGET_BAR = 72
"""Characters of the bar for the whole budget."""

NEXT = (
    ("digitwin db psql", "inspect the rows"),
    ("digitwin stats", "statistics of the database"),
    ("digitwin replay FILE --concurrency 32", "a load test with recorded conversations"),
    ("the example at the top of README.md", "the same in a dozen lines of code"),
)


def print_scene(console: Console, number: int, scene: Scene) -> None:
    """Print a scene with its claims, their times, and what it stored."""
    console.print(Text.assemble((f"\n{number:>2} ", "bold cyan"), (scene.title, "bold")))
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(width=4, justify="right")
    grid.add_column(ratio=1)
    grid.add_column(justify="right", no_wrap=True)
    for tick in scene.ticks:
        grid.add_row(Text("✓", "green"), Text(tick.claim), _cost(tick))
    for what in scene.stored:
        grid.add_row(Text("→", "dim"), Text(what, "dim"))
    if scene.failure is not None:
        grid.add_row(Text("✗", "bold red"), Text(scene.failure, "red"))
    console.print(grid)


def print_share(console: Console, share: Share) -> None:
    """Print the database time of a reply, per call and relative to the budget."""
    table = Table(expand=True, box=None, header_style="dim", padding=(0, 1))
    for heading in ("call", "for"):
        table.add_column(heading, no_wrap=heading == "call")
    for heading in ("median", "p95"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", width=BAR, no_wrap=True)
    longest = max(part.median for part in share.parts)
    for part in share.parts:
        bar = Text("█" * max(1, round(BAR * part.median / longest)), "cyan")
        table.add_row(part.name, part.purpose, _ms(part.median), _ms(part.p95), bar)
    table.add_section()
    table.add_row(Text("together", "bold"), "", Text(_ms(share.median), "bold"), _ms(share.p95))
    title = f"The database's share of a {share.budget:g} ms reply"
    console.print()
    console.print(Panel(Group(table, Text(), _budget(share)), title=title, border_style="cyan"))


def print_next(console: Console) -> None:
    """Print what to try next."""
    grid = Table.grid(padding=(0, 2))
    for command, purpose in NEXT:
        grid.add_row(Text(f"  {command}", "bold"), Text(purpose, "dim"))
    console.print("\nTry next:")
    console.print(grid)


def _budget(share: Share) -> RenderableType:
    part = share.median / share.budget
    spent = max(1, round(BUDGET_BAR * part))
    left = share.budget - share.median
    return Text.assemble(
        " ",
        ("█" * spent, "cyan"),
        ("░" * (BUDGET_BAR - spent), "dim"),
        f"\n {part:.1%} spent: {left:.0f} ms are left for speech and the model",
    )


def _cost(tick: Tick) -> Text:
    if not tick.calls:
        return Text()
    names = list(dict.fromkeys(call.name for call in tick.calls))
    label = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    times = f" ×{len(tick.calls)}" if len(names) == 1 and len(tick.calls) > 1 else ""
    return Text.assemble((f"{label}{times} ", "dim"), (f"{_ms(tick.milliseconds):>9}", "cyan"))


def _ms(milliseconds: float) -> str:
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.2f} s "
    return f"{milliseconds:.1f} ms"


def print_failure(console: Console, scenes: Sequence[Scene]) -> None:
    """Print the scene that failed."""
    console.print(Text(f"\nThe demo failed at: {scenes[-1].title}", "bold red"))
