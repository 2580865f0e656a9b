"""Formats nested figures as text: uniform rows as tables, everything else as lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from itertools import islice
from typing import Any

MOST = 20
"""Rows shown per table; ``--json`` prints all."""


def plain(value: Any) -> Any:
    """Convert dataclasses and mappings to dicts with string keys, for JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value


def lines(figures: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Yield a line for each figure and an indented block for each group of figures."""
    width = max((len(_label(name)) for name in figures), default=0) + 2
    for name, value in figures.items():
        if not isinstance(value, (dict, list)):
            yield f"{indent}{_label(name):<{width}}{_format(value)}"
        elif value:
            yield f"{indent}{_label(name)}"
            yield from _block(value, indent + "  ")


def _block(value: dict[str, Any] | list[Any], indent: str) -> Iterator[str]:
    """Yield the first :data:`MOST` rows."""
    named = value if isinstance(value, dict) else {str(n): row for n, row in enumerate(value, 1)}
    shown = dict(islice(named.items(), MOST))
    rows = list(shown.values())
    if not all(isinstance(row, dict) for row in rows):
        yield from lines(shown, indent)
    elif isinstance(value, dict):
        yield from _table([{"": _label(name), **row} for name, row in shown.items()], indent)
    else:
        yield from _table(rows, indent)
    if len(named) > MOST:
        yield f"{indent}… and {len(named) - MOST:,} more"


def _table(rows: list[dict[str, Any]], indent: str) -> Iterator[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    grid = [[_label(name) for name in names]]
    grid += [[_format(row.get(name)) for name in names] for row in rows]
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    for first, *rest in grid:
        cells = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        yield indent + "  ".join([first.ljust(widths[0]), *cells]).rstrip()


def _label(name: str) -> str:
    """Replace underscores in field names; keys that are data stay unchanged."""
    return name.replace("_", " ") if name.isidentifier() else name


def _format(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
