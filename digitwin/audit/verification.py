"""What the trail itself can show to be wrong.

It finds a trail whose guard is gone, a record whose time was changed or made up, and a record
that no month took in. It does not find a record removed or altered by somebody who may switch
the guard off and on again: nothing in a row says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

MAX_FAULTS = 1000
"""Faults listed at most: one broken guard is enough to know, a million rows help nobody."""

TOLERANCE = timedelta(hours=1)
"""How far a record's id and its ``created_at`` may lie apart: clocks differ by seconds, and
the database dates a record by the beginning of its transaction."""

_VERSION = 7


@dataclass(frozen=True, slots=True)
class AuditFault:
    """Something that is not as this library leaves it; ``record_id`` where it is about one."""

    kind: Literal["guard", "id", "time", "unplaced", "partition"]
    detail: str
    record_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class AuditVerification:
    """What was looked at and what was found; at most 1,000 faults are listed."""

    records: int
    faults: tuple[AuditFault, ...]

    @property
    def ok(self) -> bool:
        """Nothing was found."""
        return not self.faults


def examine(record: Mapping[str, Any]) -> AuditFault | None:
    """What is wrong with a record of the query ``placed_records``, if anything is."""
    id, created_at = record["id"], record["created_at"]
    if id.version != _VERSION:
        return AuditFault("id", "its id does not carry a time: it was not made here", id)
    made = datetime.fromtimestamp((id.int >> 80) / 1000, UTC)
    if abs(made - created_at) > TOLERANCE:
        return AuditFault("time", f"its id is of {made:%F %T}, its row of {created_at:%F %T}", id)
    if record["is_unplaced"]:
        return AuditFault("unplaced", f"no partition took it in: {made:%B %Y} has none", id)
    return None
