"""On whose behalf statements run: a role of the database, and the person it may see.

Both are set by ``SET LOCAL`` and end with the transaction, so that no connection carries them
on. The role makes row security hold even where the connection belongs to the tables' owner or
to a superuser, whom PostgreSQL lets past it; the policies compare each row with the person.
They stand in ``digitwin.roles``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final
from uuid import UUID

OWNER: Final = "digitwin_owner"
"""Owns the tables, but for the audit trail."""
APPLICATION: Final = "digitwin_app"
"""Sees the rows of one person, and without a person none."""
SERVICE: Final = "digitwin_service"
"""Works across people: sign-up, clean-up."""
READ_ONLY: Final = "digitwin_readonly"
"""Reads the tables of people's data."""
AUDIT: Final = "digitwin_audit"
"""Reads the audit trail."""
RETENTION: Final = "digitwin_retention"
"""Applies retention and erasure; owns the audit trail."""
ROLES: Final = (OWNER, APPLICATION, SERVICE, READ_ONLY, AUDIT, RETENTION)
"""The roles of the database; none can log in, a login is a member."""
PERSON: Final = "digitwin.user_id"
"""The setting that the policies read."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A role, ``NONE`` for whoever logged in, and a person."""

    role: str
    user_id: UUID | None = None

    @property
    def sql(self) -> str:
        """What puts a transaction under this scope; every part of it is of our making."""
        return f"SET LOCAL ROLE {self.role}; SET LOCAL {PERSON} = '{self.user_id or ''}'"

    @property
    def text(self) -> str:
        """As :meth:`of_text` reads it, for a stamp on what was read."""
        return f"{self.role}/{self.user_id or ''}"

    @classmethod
    def of_text(cls, text: str) -> Scope:
        """The scope of a stamp; a role that is none of ours is never written into a statement.

        Raises:
            ValueError: it is no stamp.
        """
        role, _, person = text.partition("/")
        if role not in (APPLICATION, SERVICE, RETENTION):
            raise ValueError("no role of digitwin's")
        return cls(role, UUID(person) if person else None)

    def mark(self, sql: str) -> str:
        """The statement, told apart from the same one under another role.

        PostgreSQL plans a prepared statement anew whenever it comes under another role than the
        last time (measured: a session with 50 turns took three times as long), so each role has
        statements of its own.
        """
        return sql if self.role == _LOGIN else _marked(self.role, sql)


@cache
def _marked(role: str, sql: str) -> str:
    return f"{sql} /* {role} */"


_LOGIN: Final = "NONE"
UNSCOPED: Final = Scope(_LOGIN)
ACROSS_PEOPLE: Final = Scope(SERVICE)
FORGETTING: Final = Scope(RETENTION)


def of_person(user_id: UUID) -> Scope:
    """This person's rows and no others."""
    return Scope(APPLICATION, user_id)
