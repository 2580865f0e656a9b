"""Scopes of statements: a database role, and the person whose rows it may see.

Both end with the transaction, so that pooled connections carry no state. A statement on its own is
sent together with the message that sets them, :attr:`Scope.entry`: one write, one implicit
transaction, one round trip. The role makes row security apply even if the login owns the tables or
is a superuser, which would bypass it. The policies are in ``digitwin.roles``.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final
from uuid import UUID

from digitwin.kernel.connection import wire

OWNER: Final = "digitwin_owner"
"""Owns the tables, except the audit trail."""
APPLICATION: Final = "digitwin_app"
"""Sees the rows of one person; none if no person is set."""
SERVICE: Final = "digitwin_service"
"""Works across people: sign-up, clean-up."""
READ_ONLY: Final = "digitwin_readonly"
"""Reads the tables of people's data."""
AUDIT: Final = "digitwin_audit"
"""Reads the audit trail."""
RETENTION: Final = "digitwin_retention"
"""Applies retention and erasure; owns the audit trail."""
ROLES: Final = (OWNER, APPLICATION, SERVICE, READ_ONLY, AUDIT, RETENTION)
"""All roles; none can log in, logins are members."""
PERSON: Final = "digitwin.user_id"
"""The session setting that the policies compare with."""
_PROCESS: Final = secrets.token_hex(4)
"""In the names of statements: a pooler that mixes up connections must not find another's."""


@dataclass(frozen=True)
class Scope:
    """A role (``NONE``: the login itself) and optionally a person."""

    role: str
    user_id: UUID | None = None

    @property
    def sql(self) -> str:
        """The statements that set this scope; contains no user input."""
        return f"SET LOCAL ROLE {self.role}; SET LOCAL {PERSON} = '{self.person}'"

    @property
    def entry(self) -> bytes:
        """The messages that set this scope for the statement that follows in the same write."""
        made: bytes | None = self.__dict__.get("_entry")
        if made is None:
            person = self.person
            before, after = _entry_around(self.entry_name, len(person))
            made = self.__dict__["_entry"] = before + person.encode() + after
        return made

    @property
    def entry_name(self) -> str:
        """The name of the prepared statement :attr:`entry_sql`."""
        return f"enter_{self.role}_{_PROCESS}"

    @property
    def entry_sql(self) -> str:
        """Sets the role and the person ``$1`` until the transaction ends, and returns no row."""
        return (
            f"SELECT 1 WHERE set_config('role', '{self.role}', true) IS NULL"
            f" OR set_config('{PERSON}', $1, true) IS NULL"
        )

    @property
    def person(self) -> str:
        """The person as text; empty if there is none."""
        return str(self.user_id or "")

    @property
    def text(self) -> str:
        """Serialized form, parsed by :meth:`of_text`; stored on models as a stamp."""
        return f"{self.role}/{self.person}"

    @classmethod
    def of_text(cls, text: str) -> Scope:
        """Parse a stamp. Unknown roles are refused, since the role becomes part of a statement.

        Raises:
            ValueError: it is not a stamp.
        """
        role, _, person = text.partition("/")
        if role not in (APPLICATION, SERVICE, RETENTION):
            raise ValueError("unknown role")
        return cls(role, UUID(person) if person else None)

    def mark(self, sql: str) -> str:
        """Append the role as a comment, so that each role has its own prepared statements.

        PostgreSQL replans a prepared statement whenever the role differs from its last use
        (measured: loading a session with 50 turns took three times as long).
        """
        return sql if self.role == _LOGIN else _marked(self.role, sql)


@cache
def _entry_around(name: str, length: int) -> tuple[bytes, bytes]:
    """Return the messages of an entry before and after a person's text of this length."""
    person = "-" * length
    whole = wire.run_of(name, person)
    at = whole.rindex(person.encode())
    return whole[:at], whole[at + length :]


@lru_cache(2048)
def _marked(role: str, sql: str) -> str:
    return f"{sql} /* {role} */"


_LOGIN: Final = "NONE"
UNSCOPED: Final = Scope(_LOGIN)
ACROSS_PEOPLE: Final = Scope(SERVICE)
FORGETTING: Final = Scope(RETENTION)


def of_person(user_id: UUID) -> Scope:
    """Return the scope of one person's rows."""
    return Scope(APPLICATION, user_id)
