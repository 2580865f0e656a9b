"""Operations, validated and put in the order in which they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Final

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.flags import require_flags
from digitwin.kernel.primitives.iterables import listed
from digitwin.kernel.primitives.validation import bounded, dumps
from digitwin.kernel.search.query import SearchQuery
from digitwin.kernel.search.question import ask
from digitwin.memories import fields
from digitwin.memories.fields import ANY, SEPARATOR, Place
from digitwin.memories.filters import Condition, conditions
from digitwin.memories.operations import (
    DeleteMemory,
    FindMemory,
    ListNamespaces,
    Operation,
    PutMemory,
    SearchMemories,
)

MAX_OPERATIONS: Final = 1000
MAX_BYTES: Final = 16 * 1024 * 1024
"""Of all values that are put at once."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A memory to find."""

    place: Place
    refresh: bool


@dataclass(frozen=True, slots=True)
class Searching:
    """A search in a place."""

    prefix: str
    terms: tuple[str, ...]
    conditions: Sequence[Condition]
    page: dict[str, int]
    refresh: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing of namespaces, by patterns at their beginning or their end."""

    prefix: str
    patterns: Sequence[tuple[bool, str]]
    max_depth: int | None
    page: dict[str, int]


@dataclass(frozen=True, slots=True)
class Putting:
    """A memory to put."""

    value: str
    text: str
    language: str | None
    ttl: float | None


@dataclass(slots=True)
class Plan:
    """What to do, by the places of the operations: first what reads, then what writes."""

    size: int
    findings: dict[int, Finding] = field(default_factory=dict)
    searches: dict[int, Searching] = field(default_factory=dict)
    listings: dict[int, Listing] = field(default_factory=dict)
    writes: dict[Place, tuple[int, Putting | None]] = field(default_factory=dict)
    """Of several writes to one place, the last; None deletes."""

    @property
    def puts(self) -> dict[Place, Putting]:
        """What is put."""
        return {place: put for place, (_, put) in self.writes.items() if put is not None}

    @property
    def deletions(self) -> dict[Place, int]:
        """What is deleted."""
        return {place: n for place, (n, put) in self.writes.items() if put is None}

    @property
    def is_one_statement(self) -> bool:
        """Whether one statement does it, as long as no time to live is refreshed."""
        writes = bool(self.puts) + bool(self.deletions)
        return bool(self.findings) + len(self.searches) + len(self.listings) + writes <= 1


def planned(operations: Any) -> Plan:
    """Validate operations.

    Raises:
        InvalidInputError: names the argument that is invalid, or too many or too large.
    """
    given = listed(operations, "operations", at_most=MAX_OPERATIONS, of="operations")
    plan = Plan(len(given))
    for n, operation in enumerate(given):
        _add(plan, n, operation)
    if sum(len(put.value.encode()) for put in plan.puts.values()) > MAX_BYTES:
        raise InvalidInputError(
            f"operations put more than {MAX_BYTES:,} bytes", field="operations", limit=MAX_BYTES
        )
    return plan


def _add(plan: Plan, n: int, operation: Operation) -> None:
    kind = type(operation)
    if kind is FindMemory:
        plan.findings[n] = _finding(operation)  # type: ignore[arg-type]
    elif kind is SearchMemories:
        plan.searches[n] = _searching(operation)  # type: ignore[arg-type]
    elif kind is ListNamespaces:
        plan.listings[n] = _listing(operation)  # type: ignore[arg-type]
    elif kind is PutMemory:
        assert isinstance(operation, PutMemory)
        place = fields.place_to_put(operation.namespace, operation.key)
        plan.writes[place] = n, _putting(operation)
    elif kind is DeleteMemory:
        assert isinstance(operation, DeleteMemory)
        plan.writes[fields.place(operation.namespace, operation.key)] = n, None
    else:
        raise InvalidInputError(f"operations[{n}] is no operation on memories", field="operations")


def _finding(operation: FindMemory) -> Finding:
    require_flags(("refresh",), {"refresh": operation.refresh})
    return Finding(fields.place(operation.namespace, operation.key), operation.refresh)


def _searching(operation: SearchMemories) -> Searching:
    require_flags(("refresh",), {"refresh": operation.refresh})
    query = fields.query_text(operation.query)
    return Searching(
        prefix=fields.joined(operation.prefix, "prefix"),
        terms=ask(SearchQuery(query, (), ())).terms,
        conditions=conditions(operation.filter),
        page=fields.page(operation.limit, operation.offset),
        refresh=operation.refresh,
    )


def _listing(operation: ListNamespaces) -> Listing:
    prefixes = _patterns(operation.prefixes, "prefix")
    suffixes = _patterns(operation.suffixes, "suffix")
    depth = operation.max_depth
    return Listing(
        prefix=max(map(_known, prefixes), key=len, default=""),
        patterns=[*((False, one) for one in prefixes), *((True, one) for one in suffixes)],
        max_depth=None
        if depth is None
        else bounded(depth, "max_depth", at_least=1, at_most=fields.MAX_LABELS),
        page=fields.page(operation.limit, operation.offset),
    )


def _patterns(patterns: Any, field: str) -> list[str]:
    given = listed(patterns, field, at_most=fields.MAX_LABELS, of="namespaces")
    return [fields.joined(pattern, field) for pattern in given]


def _known(pattern: str) -> str:
    """Return the beginning of a pattern, up to the first label that may be any."""
    labels = takewhile(lambda label: label != ANY, pattern.split(SEPARATOR))
    return SEPARATOR.join(labels)


def _putting(operation: PutMemory) -> Putting:
    value, text = fields.value_and_text(operation.value, operation.text)
    return Putting(
        value=dumps(value),
        text=text,
        language=fields.language_name(operation.language),
        ttl=fields.lifetime(operation.ttl),
    )
