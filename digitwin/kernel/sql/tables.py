"""The registry of tables: each is declared once, by the domain that owns it, in its ``tables.py``.

Roles and row security, export and erasure, what a deletion of a person takes along, and the
removal of late writes derive from these declarations, and so do the tests' lists. What the model
of a table says is not said again: whether a deletion hides its rows (``SoftDelete``), whether a
change is recorded (``resource``), which columns are encrypted (``encrypted``), and which tables
it refers to (its foreign keys).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from tortoise.models import Model

from digitwin.kernel.connection.scopes import (
    APPLICATION,
    AUDIT,
    OWNER,
    READ_ONLY,
    RETENTION,
    ROLES,
    SERVICE,
)
from digitwin.kernel.sql.columns import of_table

ALL_ROWS: Final = "SELECT, INSERT, UPDATE, DELETE"
_SWEEP: Final = "SELECT, UPDATE, DELETE"


@dataclass(frozen=True, slots=True)
class Rights:
    """Who owns a table, and what each other role may do with it."""

    owner: str
    granted: Mapping[str, str]
    """Privileges by role."""
    row_security: bool = False
    """Whether policies compare each row with the person of the scope."""

    def __post_init__(self) -> None:
        assert {self.owner, *self.granted} <= set(ROLES), "rights name roles that exist"


PERSONAL: Final = Rights(
    OWNER,
    {APPLICATION: ALL_ROWS, SERVICE: ALL_ROWS, READ_ONLY: "SELECT", RETENTION: _SWEEP},
    row_security=True,
)
"""A person's data."""

SHARED: Final = Rights(OWNER, {APPLICATION: ALL_ROWS, SERVICE: ALL_ROWS, RETENTION: _SWEEP})
"""Cache, limits and wrapped keys: they are read before a scope is known, or by all instances."""

SEALS: Final = Rights(RETENTION, {SERVICE: "INSERT, SELECT", AUDIT: "SELECT"})
"""Insert-only, but for the role that applies retention, which owns them."""

TRAIL: Final = Rights(
    RETENTION, {APPLICATION: "INSERT", SERVICE: "INSERT, SELECT", AUDIT: "SELECT"}
)
"""As SEALS; the application adds records and cannot read them."""

BOOKKEEPING: Final = Rights(OWNER, dict.fromkeys(ROLES[1:], "SELECT"))
"""Read by every start."""

OWNER_ID: Final = {"user_id": "the person's id"}
TIMES: Final = {"created_at": "when it was stored", "updated_at": "when it was last changed"}
VERSION: Final = {"version": "how often it was changed, from 1"}
DELETION: Final = {
    "deleted_at": "when it was deleted; hidden until the deletion is final",
    "deletion_id": "the deletion it went with",
}
"""Columns that many tables have, and their meaning in an export."""

Erasure = Literal["rows", "cache", "trail"]
"""How a person's rows go: as rows; through the cache, so that memory forgets them too; or by
replacing the person with a pseudonym, since the trail of what happened must stay whole."""


@dataclass(frozen=True, slots=True)
class View:
    """What of a table is exported about somebody, and how their rows are found."""

    title: str
    """The heading above the export, for people."""
    columns: Mapping[str, str]
    """Exported columns, with their meaning for people."""
    found_by: str
    """The condition for their rows, with named parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalData:
    """What a table holds of a person: how it is exported and erased."""

    title: str
    columns: Mapping[str, str]
    key: tuple[str, ...] = ("user_id", "id")
    """The primary key: rows are exported and locked in its order."""
    found_by: str = "user_id = :person"
    """The condition for a person's rows; ``:person`` is their id."""
    erasure: Erasure = "rows"
    exported: bool = True
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Columns that are not exported, and why."""
    vectors: frozenset[str] = frozenset()
    """Columns with float32 numbers, exported as lists."""
    batch: int = 100
    """Rows fetched at once: few where one may be large, so that memory stays small."""
    by_name: str | None = None
    """The condition for rows of somebody who is known by a name alone (``:ref``)."""
    as_participant: View | None = None
    """What is held about somebody who talked to another person's twin, found by ``:ref``,
    ``:kind`` (any if null) and ``:except_of``, an owner who is left out (none if null)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of ours.

    Args:
        holds: what is in it, where it holds nothing of a person's.
        person: the column with the person's id, by which row security compares.
        personal: what it holds of a person; None where it holds nothing.
        late_writes: the person's id as text, in rows that may be written after their erasure
            because no foreign key holds them back; such rows are removed by ``maintain()``.
        on_owner_deleted: further assignments when the owner's deletion hides its rows.
        is_partitioned: whether its rows are in partitions, which take the same rights.
        sequences: sequences that belong to it.
    """

    name: str
    rights: Rights
    holds: str = ""
    person: str | None = None
    personal: PersonalData | None = None
    late_writes: str | None = None
    on_owner_deleted: str = ""
    is_partitioned: bool = False
    sequences: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert (self.personal is None) == bool(self.holds), "say what it holds, once"
        assert not self.rights.row_security or self.person, "row security compares a person"

    @property
    def data(self) -> PersonalData:
        """What it holds of a person; of those tables alone that :func:`personal` lists."""
        assert self.personal is not None
        return self.personal

    @property
    def model(self) -> type[Model] | None:
        """Its model; None where no model reads it."""
        try:
            return of_table(self.name)
        except ValueError:
            return None

    @property
    def encrypted(self) -> tuple[str, ...]:
        """Columns that are stored encrypted, and exported as plain text."""
        return () if self.model is None else self.model.encrypted  # type: ignore[attr-defined]

    @property
    def has_deletions(self) -> bool:
        """Whether a deletion marks its rows."""
        return self.model is not None and "deletion_id" in self.model._meta.fields_map

    @property
    def can_be_hidden(self) -> bool:
        """Whether its rows are hidden by a deletion, their own or their parent's."""
        return self.has_deletions or getattr(self.model, "hidden_with", None) is not None

    def refers_to(self) -> set[str]:
        """Tables whose rows its rows refer to."""
        found = {"users"} if self.person and self.name != "users" else set()
        if self.model is not None:
            fields: Any = self.model._meta.fields_map
            keys = self.model._meta.fk_fields
            found |= {fields[name].related_model._meta.db_table for name in keys}
        return found - {self.name}


_TABLES: dict[str, Table] = {}
TABLES: Final[Mapping[str, Table]] = MappingProxyType(_TABLES)
"""Every table that was declared, by its name; complete once ``digitwin.models`` is imported."""


def declare(*tables: Table) -> None:
    """Add tables to the registry; done once for each, when a domain's ``tables.py`` is imported.

    Raises:
        ValueError: a table is declared twice.
    """
    for table in tables:
        if table.name in _TABLES:
            raise ValueError(f"the table {table.name!r} is declared twice")
        _TABLES[table.name] = table


def personal() -> list[Table]:
    """Tables that hold something of a person, in the order in which their rows are erased.

    A table comes before those that its rows refer to.
    """
    return [table for table in _children_first() if table.personal is not None]


def hidden_with_owner() -> list[Table]:
    """Tables whose rows a deletion of their owner hides."""
    return [table for table in TABLES.values() if table.has_deletions and table.name != "users"]


def _children_first() -> Iterator[Table]:
    left = dict(TABLES)
    while left:
        referred = {name for table in left.values() for name in table.refers_to()}
        free = [name for name in left if name not in referred]
        assert free, "foreign keys must not form a circle"
        yield from (left.pop(name) for name in free)
