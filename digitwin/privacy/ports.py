"""Interfaces that export and erasure need from other domains, passed in by ``database.py``."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from typing_extensions import Unpack

from digitwin.audit.fields import Details
from digitwin.kernel.repository.ports import FieldCipher


class Keys(FieldCipher, Protocol):
    """The key ring."""

    async def destroy(self, user_id: UUID | str) -> bool:
        """Destroy a person's key permanently, outside any open transaction."""


class Limits(Protocol):
    """The rate limiter."""

    async def forget(self, subject: UUID | str) -> None:
        """Drop a subject's in-memory state of this process; rows are not changed."""


class Trail(Protocol):
    """The audit trail; joins the caller's transaction."""

    async def record(self, action: str, resource: str, **details: Unpack[Details]) -> UUID:
        """Add a record."""
