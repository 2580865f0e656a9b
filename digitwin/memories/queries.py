"""The domain's named queries."""

from __future__ import annotations

from typing import Any

from digitwin.kernel.search import words
from digitwin.kernel.sql.queries import Queries, Query
from digitwin.memories.fields import SEPARATOR
from digitwin.memories.filters import NUMBER

_AFTER_SEPARATOR = chr(ord(SEPARATOR) + 1)

QUERIES = Queries(
    __package__,
    table="memories",
    configuration=words.configuration("spoken"),
    number=NUMBER,
    plain=words.plain("said"),
)


def in_place(name: str, prefix: str, **fills: str) -> Query:
    """Return a query on the memories in a namespace and below it; on all, if it is empty."""
    return QUERIES.variant(name, within_prefix=QUERIES.text("within") if prefix else "", **fills)


def filtering(name: str, prefix: str, *, filters: bool) -> Query:
    """As :func:`in_place`, with or without the conditions of a filter."""
    step = QUERIES.text("conditions") if filters else ""
    return in_place(
        name,
        prefix,
        with_conditions=f"WITH {step}\n" if filters else "",
        conditions_first=f"{step}, " if filters else "",
        filtered=QUERIES.text("fulfils") if filters else "",
    )


def bounds(prefix: str) -> dict[str, Any]:
    """Return the bounds of a namespace and of those below it."""
    below = prefix + SEPARATOR
    return {"prefix": prefix, "below": below, "prefix_end": prefix + _AFTER_SEPARATOR}
