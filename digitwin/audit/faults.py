"""What a verification reports: faults, and figures about what was checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from uuid import UUID

from digitwin.audit.signing import SignatureStatus

MAX_FAULTS: Final = 1000
"""Faults reported at most: a list of a million helps nobody."""

Kind: TypeAlias = Literal[
    # the tables, and single records by themselves
    "guard",
    "id",
    "time",
    "unplaced",
    "partition",
    # records, compared with their leaves
    "changed",
    "removed",
    "inserted",
    "reordered",
    # the seals
    "seal",
    "signature",
    "chain",
    "checkpoint",
]

Signatures: TypeAlias = Literal["checked", "unchecked", "none"]


@dataclass(frozen=True, slots=True)
class AuditFault:
    """Something that differs from what this package wrote; ``record_id`` if it is one record."""

    kind: Kind
    detail: str
    record_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class AuditVerification:
    """The result of a verification; at most 1,000 faults are listed."""

    records: int
    faults: tuple[AuditFault, ...]
    sealed: int = 0
    """Records with a seal."""
    seals: int = 0
    """Seals that were checked, from the last checkpoint on."""
    erased: int = 0
    """Sealed records with a field that was erased together with a person."""
    signatures: Signatures = "none"
    """``unchecked`` if the seals are signed and no key is known here; ``none`` if unsigned."""
    notices: tuple[str, ...] = ()
    """What is no fault by itself and somebody should know: a clock that was ahead, and how many
    records it dated; seals much younger than their records; no checkpoints outside the database;
    a schema newer than this package, whose guards are not compared."""

    @property
    def ok(self) -> bool:
        """Whether no fault was found."""
        return not self.faults


@dataclass(slots=True)
class FaultList:
    """Collects faults, and the status of every signature met."""

    faults: list[AuditFault] = field(default_factory=list)
    statuses: set[SignatureStatus] = field(default_factory=set)

    def add(self, kind: Kind, detail: str, record_id: UUID | None = None) -> None:
        """Add a fault, unless there are :data:`MAX_FAULTS` already."""
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(AuditFault(kind, detail, record_id))

    @property
    def signatures(self) -> Signatures:
        """Whether the seals met are signed, and by keys that are known here."""
        if self.statuses <= {"unsigned"}:
            return "none"
        return "checked" if self.statuses & {"valid", "invalid"} else "unchecked"
