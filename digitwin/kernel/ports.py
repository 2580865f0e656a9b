"""What one domain needs of another, handed in by ``database.py``: no domain imports another."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID


class CacheForgetter(Protocol):
    """Whoever keeps cached answers, and forgets them when what they rest on changes.

    Both join the caller's transaction: what is rolled back has forgotten nothing.
    """

    async def forget_user(self, user_id: UUID) -> None:
        """Drop every entry of this person."""

    async def forget_searches(self, user_id: UUID) -> None:
        """Drop this person's cached searches."""
