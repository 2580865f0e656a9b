"""What export and erasure need of others, handed in by ``database.py``."""

from __future__ import annotations

from typing import Any, Protocol
from uuid import UUID


class Trail(Protocol):
    """Where it is recorded what was done; joins the caller's transaction."""

    async def record(
        self,
        action: str,
        resource: str,
        *,
        resource_id: str | None = None,
        user_id: UUID | str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> UUID:
        """Add a record."""
