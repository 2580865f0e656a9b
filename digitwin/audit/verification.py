"""What the trail can show to be wrong: by itself, and by its seals.

By itself it shows a guard that is gone, a record whose time was changed or made up, and a
record that no month took in. By its seals (:mod:`digitwin.audit.chain`) it shows a record that
was changed, removed, inserted or moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias
from uuid import UUID

MAX_FAULTS = 1000
"""Faults listed at most: one broken guard is enough to know, a million rows help nobody."""

TOLERANCE = timedelta(hours=1)
"""How far a record's id and its ``created_at`` may lie apart: clocks differ by seconds, and
the database dates a record by the beginning of its transaction."""

_VERSION = 7

Kind: TypeAlias = Literal[
    "guard",
    "id",
    "time",
    "unplaced",
    "partition",
    "changed",
    "removed",
    "inserted",
    "reordered",
    "seal",
    "signature",
    "chain",
    "checkpoint",
]
"""About the tables and single rows; about a record beside its seal; about the seals."""


@dataclass(frozen=True, slots=True)
class AuditFault:
    """Something that is not as this library leaves it; ``record_id`` where it is about one."""

    kind: Kind
    detail: str
    record_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class AuditVerification:
    """What was looked at and what was found; at most 1,000 faults are listed."""

    records: int
    faults: tuple[AuditFault, ...]
    sealed: int = 0
    """Records that a seal holds."""
    seals: int = 0
    """Seals that were compared, from the checkpoint on."""
    erased: int = 0
    """Sealed records of which something was erased with a person."""
    signatures: Literal["checked", "unchecked", "none"] = "none"
    """Whether the seals are signed, and by keys that are known here; ``unchecked`` where no
    key is."""

    @property
    def ok(self) -> bool:
        """Nothing was found."""
        return not self.faults


def examine(record: Mapping[str, Any], horizon: datetime | None = None) -> AuditFault | None:
    """What is wrong with a record of the query ``placed_records``, if anything is.

    Args:
        horizon: of the newest seal: what is dated before it was sealed, or is not ours.
    """
    id, created_at = record["id"], record["created_at"]
    if id.version != _VERSION:
        return AuditFault("id", "its id does not carry a time: it was not made here", id)
    made = datetime.fromtimestamp((id.int >> 80) / 1000, UTC)
    if abs(made - created_at) > TOLERANCE:
        return AuditFault("time", f"its id is of {made:%F %T}, its row of {created_at:%F %T}", id)
    if record["is_unplaced"]:
        return AuditFault("unplaced", f"no partition took it in: {made:%B %Y} has none", id)
    if horizon is not None and created_at < horizon and not record["is_sealed"]:
        return AuditFault("inserted", f"no seal holds it, and all of {created_at:%F %T} do", id)
    return None
