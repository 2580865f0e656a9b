"""What one domain needs of another, handed in by ``database.py``: no domain imports another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol
from uuid import UUID


class CacheForgetter(Protocol):
    """Whoever keeps cached answers, and forgets them when what they rest on changes.

    Both join the caller's transaction: what is rolled back has forgotten nothing.
    """

    async def forget_user(self, user_id: UUID) -> None:
        """Drop every entry of this person."""

    async def forget_searches(self, user_id: UUID) -> None:
        """Drop this person's cached searches."""


class Sensitive(NamedTuple):
    """The row of sensitive values, to which their encryption binds them."""

    table: str
    user_id: UUID
    row_id: UUID


class FieldCipher(Protocol):
    """Encrypts sensitive values, each with the key of the person it belongs to."""

    async def encrypt(self, row: Sensitive, values: Mapping[str, str]) -> dict[str, str]:
        """Return the values as they are stored; create the person's key if there is none."""

    async def decrypt(self, row: Sensitive, values: Mapping[str, str]) -> dict[str, str]:
        """Return the plain values; one that is not encrypted is refused."""

    async def has_key(self, user_id: UUID) -> bool:
        """Return whether this person has a key."""

    async def prefetch(self, user_ids: Iterable[UUID]) -> None:
        """Load the keys of these people, before many rows of theirs are decrypted."""
