"""What export and erasure need of others, handed in by ``database.py``."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from typing_extensions import Unpack

from digitwin.audit.fields import Details
from digitwin.kernel.repository.ports import FieldCipher


class Keys(FieldCipher, Protocol):
    """Whoever holds the people's keys."""

    async def destroy(self, user_id: UUID | str) -> bool:
        """Forget a person's key for good, whatever transaction is open."""


class Limits(Protocol):
    """Whoever counts what a subject may do."""

    async def forget(self, subject: UUID | str) -> None:
        """Keep nothing of a subject in this process; rows are not touched."""


class Trail(Protocol):
    """Where it is recorded what was done; joins the caller's transaction."""

    async def record(self, action: str, resource: str, **details: Unpack[Details]) -> UUID:
        """Add a record."""
