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
    """The row that sensitive values stand in: they are bound to it."""

    table: str
    user_id: UUID
    row_id: UUID


class Sealer(Protocol):
    """Whoever holds the people's keys, and turns sensitive values into what is stored."""

    async def seal(self, row: Sensitive, values: Mapping[str, str]) -> dict[str, str]:
        """The values as they are stored."""

    async def open(self, row: Sensitive, values: Mapping[str, str]) -> dict[str, str]:
        """Stored values as they were given; one that is not sealed is refused."""

    async def has_key(self, user_id: UUID) -> bool:
        """Whether this person has a key; sealing makes one where there is none."""

    async def foresee(self, user_ids: Iterable[UUID]) -> None:
        """Make ready for many rows of these people."""
