"""Runs a plan: a statement for each kind of operation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.primitives.jsonb import loads
from digitwin.kernel.repository.base import owner_not_found
from digitwin.memories import fields
from digitwin.memories.fields import Place
from digitwin.memories.memory import Memory, MemoryHit
from digitwin.memories.operations import Result
from digitwin.memories.planning import Listing, Plan, Putting, Searching
from digitwin.memories.queries import QUERIES, bounds, filtering, in_place

Rows = Mapping[Place, Any]

_NOTHING: Final = Putting("{}", "", None, None)


@dataclass(frozen=True, slots=True)
class Whose:
    """The person, and the audience."""

    user_id: UUID
    audience: str


async def run(db: Statements, whose: Whose, plan: Plan) -> list[Result]:
    """Run a plan, in the open transaction or as single statements; return each one's result.

    Raises:
        NotFoundError: the owner of what is put is missing or deleted.
    """
    about = asdict(whose)
    found = await _found(db, about, plan)
    hits = {n: await _hits(db, about, search) for n, search in plan.searches.items()}
    listed = {n: await _listed(db, about, listing) for n, listing in plan.listings.items()}
    lived = await _put(db, whose, about, plan)
    gone = await _deleted(db, about, plan.deletions)
    # After the writes: what it locks before them, in another order, would be half of a deadlock
    ends = await _refreshed(db, about, _to_refresh(plan, found, hits))
    results: list[Result] = [None] * plan.size
    for n, finding in plan.findings.items():
        row = found.get(finding.place)
        results[n] = None if row is None else _memory(row, ends)
    for n, rows in hits.items():
        results[n] = [MemoryHit(_memory(row, ends), row["score"]) for row in rows]
    for n, namespaces in listed.items():
        results[n] = namespaces
    for place, n in plan.deletions.items():
        results[n] = lived.get(place, gone.get(place, False))
    return results


async def _found(db: Statements, about: dict[str, Any], plan: Plan) -> Rows:
    places = dict.fromkeys(finding.place for finding in plan.findings.values())
    if not places:
        return {}
    rows = await db.fetch(QUERIES["find"], **about, **_columns(places))
    return {_place(row): row for row in rows}


async def _hits(db: Statements, about: dict[str, Any], search: Searching) -> list[Any]:
    query = filtering(
        "rank" if search.terms else "search", search.prefix, filters=bool(search.conditions)
    )
    return await db.fetch(
        query,
        **about,
        **bounds(search.prefix),
        **search.page,
        terms=list(search.terms),
        paths=[condition.path for condition in search.conditions],
        operators=[condition.operator for condition in search.conditions],
        operands=[condition.operand for condition in search.conditions],
    )


async def _listed(db: Statements, about: dict[str, Any], listing: Listing) -> list[tuple[str, ...]]:
    rows = await db.fetch(
        in_place("namespaces", listing.prefix),
        **about,
        **bounds(listing.prefix),
        **listing.page,
        max_depth=listing.max_depth,
        from_end=[from_end for from_end, _ in listing.patterns],
        patterns=[pattern for _, pattern in listing.patterns],
    )
    return [tuple(row["labels"]) for row in rows]


def _to_refresh(plan: Plan, found: Rows, hits: Mapping[int, list[Any]]) -> list[Place]:
    """Return what was read to be refreshed, can be, and is not written by the plan itself."""
    asked = {finding.place for finding in plan.findings.values() if finding.refresh}
    rows = [row for place, row in found.items() if place in asked]
    for n, search in plan.searches.items():
        rows += hits[n] if search.refresh else ()
    places = dict.fromkeys(_place(row) for row in rows if row["can_refresh"])
    return [place for place in places if place not in plan.writes]


async def _refreshed(
    db: Statements, about: dict[str, Any], places: list[Place]
) -> dict[Place, datetime]:
    if not places:
        return {}
    rows = await db.fetch(QUERIES["refresh"], **about, **_columns(places))
    return {_place(row): row["expires_at"] for row in rows}


async def _put(
    db: Statements, whose: Whose, about: dict[str, Any], plan: Plan
) -> dict[Place, bool]:
    """Put what is put; return whether there was something before, by place.

    What is deleted beside it is put too: so all rows are locked by one statement, in their order.
    There is nothing at the root.
    """
    puts = plan.puts
    if not puts:
        return {}
    puts |= {place: _NOTHING for place in plan.deletions if place.namespace}
    rows = await db.fetch(
        QUERIES["put"],
        **about,
        **_columns(puts),
        values=[put.value for put in puts.values()],
        texts=[put.text for put in puts.values()],
        languages=[put.language for put in puts.values()],
        ttls=[put.ttl for put in puts.values()],
    )
    if not rows:
        raise owner_not_found(whose.user_id)
    return {_place(row): row["lived"] for row in rows}


async def _deleted(
    db: Statements, about: dict[str, Any], places: Iterable[Place]
) -> dict[Place, bool]:
    if not places:
        return {}
    rows = await db.fetch(QUERIES["delete"], **about, **_columns(places))
    return {_place(row): row["lived"] for row in rows if row["key"] is not None}


def _columns(places: Iterable[Place]) -> dict[str, list[str]]:
    return {
        "namespaces": [place.namespace for place in places],
        "keys": [place.key for place in places],
    }


def _place(row: Any) -> Place:
    return Place(row["namespace"], row["key"])


def _memory(row: Any, ends: Mapping[Place, datetime]) -> Memory:
    return Memory(
        namespace=fields.split(row["namespace"]),
        key=row["key"],
        value=loads(row["value"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        expires_at=ends.get(_place(row), row["expires_at"]),
    )
