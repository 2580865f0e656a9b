"""The registry of tables: each is declared once, in the ``tables.py`` of the domain that owns it.

Roles and row security, export and erasure, cascading soft deletes, the removal of late writes and
the tests' lists derive from these declarations. They do not repeat what the table's model defines:
soft delete (``SoftDelete``), auditing (``resource``), encrypted columns (``encrypted``) and
references to other tables (foreign keys).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

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

if TYPE_CHECKING:
    from tortoise.models import Model

ALL_ROWS: Final = "SELECT, INSERT, UPDATE, DELETE"
KEPT: Final = "SELECT, INSERT, UPDATE"
_SWEEP: Final = "SELECT, UPDATE, DELETE"


@dataclass(frozen=True, slots=True)
class Rights:
    """Owner and privileges of a table."""

    owner: str
    granted: Mapping[str, str]
    """Privileges by role."""
    row_security: bool = False
    """Whether row security limits rows to the person of the scope."""

    def __post_init__(self) -> None:
        assert {self.owner, *self.granted} <= set(ROLES), "unknown role"


PERSONAL: Final = Rights(
    OWNER,
    {APPLICATION: ALL_ROWS, SERVICE: ALL_ROWS, READ_ONLY: "SELECT", RETENTION: _SWEEP},
    row_security=True,
)
"""Personal data."""

DEPENDENT: Final = Rights(
    OWNER,
    {APPLICATION: KEPT, SERVICE: KEPT, READ_ONLY: "SELECT", RETENTION: _SWEEP},
    row_security=True,
)
"""Personal data whose rows go with their parent's alone, by foreign key, or by an erasure."""

INSERT_ONLY: Final = Rights(
    OWNER,
    {
        APPLICATION: "SELECT, INSERT",
        SERVICE: "SELECT, INSERT",
        READ_ONLY: "SELECT",
        RETENTION: "SELECT, DELETE",
    },
    row_security=True,
)
"""Personal data that is never changed; its rows go as those of :data:`DEPENDENT` do."""

SHARED: Final = Rights(OWNER, {APPLICATION: ALL_ROWS, SERVICE: ALL_ROWS, RETENTION: _SWEEP})
"""Cache and rate limits: used before a scope is known, or across instances."""

COUNTS: Final = Rights(OWNER, {APPLICATION: KEPT, SERVICE: KEPT})
"""Counts that name nobody and are never removed."""

KEYS: Final = Rights(
    OWNER, {APPLICATION: "SELECT, INSERT", SERVICE: "SELECT, INSERT", RETENTION: _SWEEP}
)
"""Wrapped keys: a service creates them, and neither replaces nor destroys one."""

SEALS: Final = Rights(RETENTION, {SERVICE: "INSERT, SELECT", AUDIT: "SELECT"})
"""Insert-only, except for the retention role, which owns them."""

CHECKPOINTS: Final = Rights(RETENTION, {SERVICE: "SELECT", AUDIT: "SELECT"})
"""Written by the removal of records, which the retention role does."""

TRAIL: Final = Rights(
    RETENTION, {APPLICATION: "INSERT", SERVICE: "INSERT, SELECT", AUDIT: "SELECT"}
)
"""As SEALS; the application may insert records but not read them."""

BOOKKEEPING: Final = Rights(OWNER, dict.fromkeys(ROLES[1:], "SELECT"))
"""Read at every start-up."""

OWNER_ID: Final = {"user_id": "the person's id"}
TIMES: Final = {"created_at": "when it was stored", "updated_at": "when it was last changed"}
VERSION: Final = {"version": "how often it was changed, from 1"}
DELETION: Final = {
    "deleted_at": "when it was deleted; hidden until the deletion is final",
    "deletion_id": "the deletion it went with",
}
"""Common columns and their meaning, for exports."""

Erasure = Literal["rows", "cache", "trail"]
"""How a person's rows are erased: deleted; deleted by the cache, which also clears memory; or
pseudonymized, since the audit trail must stay complete."""


@dataclass(frozen=True, slots=True)
class View:
    """The exported columns of a table, and the condition that finds a subject's rows."""

    title: str
    """The heading in the export."""
    columns: Mapping[str, str]
    """Exported columns and their descriptions."""
    found_by: str
    """The condition for their rows, with named parameters."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """Rows that hold a participant's words, and what the participant's erasure does to them."""

    found_by: str
    """The condition for their rows, as of ``as_participant``. Rows that were changed already do not
    meet it: they are changed in batches, until none is left."""
    sets: str = ""
    """Assignments; the rows are deleted if it is empty. ``:keep_answers`` says whether the twin's
    answers are kept."""


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
    """Columns that are not exported, with the reason."""
    vectors: frozenset[str] = frozenset()
    """Columns of float32 vectors, exported as lists."""
    batch: int = 100
    """Rows per fetch; small for tables with large rows, to limit memory."""
    by_name: str | None = None
    """The condition for rows that hold only a participant's ``:ref``."""
    as_participant: View | None = None
    """The view about a participant. ``{them}`` in its condition stands for the condition that finds
    them in the table of participants, which is ``p``."""
    redacted: tuple[Redacted, ...] = ()
    """What the erasure of a participant does, in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans:
    """Rows that stay when the row they refer to is deleted for good.

    The foreign key sets the reference to null; what the rows hold of the deleted row's content is
    cleared by the transaction that deletes.
    """

    parent: str
    """The table they refer to."""
    reference: str
    """The column that becomes NULL."""
    cleared: tuple[str, ...]
    """Columns to clear; together with `reference`, in the condition of a partial index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of the schema.

    Args:
        holds: what it contains, for tables without personal data.
        person: the column with the person's id, used by row security.
        personal: its personal data; None if it has none.
        late_writes: SQL for the id, as text, of the person of the row ``late``, if rows can be
            written after the person's erasure for lack of a foreign key; ``maintain()`` removes
            such rows.
        cache_tag: cache entries made from a row carry this tag with ``:`` and the row's id.
        orphans: what is cleared in rows whose parent is deleted for good.
        on_deleted: additional assignments when a deletion of a row hides it.
        on_owner_deleted: the same when a deletion of the owner hides its rows.
        is_partitioned: whether it has partitions, which get the same privileges.
        sequences: sequences it uses.
    """

    name: str
    rights: Rights
    holds: str = ""
    person: str | None = None
    personal: PersonalData | None = None
    late_writes: str | None = None
    cache_tag: str = ""
    orphans: Orphans | None = None
    on_deleted: str = ""
    on_owner_deleted: str = ""
    is_partitioned: bool = False
    sequences: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert (self.personal is None) == bool(self.holds), "set either `personal` or `holds`"
        assert not self.rights.row_security or self.person, "row security needs a `person` column"

    @property
    def data(self) -> PersonalData:
        """Its personal data; only for tables that :func:`personal` returns."""
        assert self.personal is not None
        return self.personal

    @property
    def model(self) -> type[Model] | None:
        """Its model, if any."""
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
        """Whether it has soft delete."""
        return self.model is not None and "deletion_id" in self.model._meta.fields_map

    @property
    def can_be_hidden(self) -> bool:
        """Whether a soft delete of a row or of its parent hides it."""
        return self.has_deletions or getattr(self.model, "hidden_with", None) is not None

    def refers_to(self) -> set[str]:
        """Return the tables it references."""
        found = {"users"} if self.person and self.name != "users" else set()
        if self.model is not None:
            fields: Any = self.model._meta.fields_map
            keys = self.model._meta.fk_fields
            found |= {fields[name].related_model._meta.db_table for name in keys}
        return found - {self.name}


_TABLES: dict[str, Table] = {}
TABLES: Final[Mapping[str, Table]] = MappingProxyType(_TABLES)
"""Every declared table by name; complete once ``digitwin.models`` is imported."""


def declare(*tables: Table) -> None:
    """Add tables to the registry; called when a domain's ``tables.py`` is imported.

    Raises:
        ValueError: a table is declared twice.
    """
    for table in tables:
        if table.name in _TABLES:
            raise ValueError(f"the table {table.name!r} is declared twice")
        _TABLES[table.name] = table


def personal() -> list[Table]:
    """Return the tables with personal data, in the order of erasure: children before parents."""
    return [table for table in _children_first() if table.personal is not None]


def hidden_with_owner() -> list[Table]:
    """Return the tables whose rows a soft delete of their owner hides."""
    return [table for table in TABLES.values() if table.has_deletions and table.name != "users"]


def orphaned_by(parent: str | None = None) -> list[tuple[Table, Orphans]]:
    """Return the tables with rows to clear when a row of ``parent``, or of any, is deleted."""
    return [
        (table, table.orphans)
        for table in TABLES.values()
        if table.orphans is not None and parent in (None, table.orphans.parent)
    ]


def _children_first() -> Iterator[Table]:
    left = dict(TABLES)
    while left:
        referred = {name for table in left.values() for name in table.refers_to()}
        free = [name for name in left if name not in referred]
        assert free, "foreign keys must not form a circle"
        yield from (left.pop(name) for name in free)
