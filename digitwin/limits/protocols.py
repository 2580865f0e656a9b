"""What the limiter offers, for a fake to put in its place."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from digitwin.limits.decision import Decision, EndpointUsage


class RateLimits(Protocol):
    """See :class:`~digitwin.limits.repository.RateLimitRepository` for what each one promises."""

    async def consume(
        self,
        subject: UUID | str,
        endpoint: str,
        *,
        limit: int,
        window: float | timedelta,
        cost: int = 1,
    ) -> Decision: ...

    async def peek(
        self,
        subject: UUID | str,
        endpoint: str,
        *,
        limit: int,
        window: float | timedelta,
        cost: int = 1,
    ) -> Decision: ...

    async def require(
        self,
        subject: UUID | str,
        endpoint: str,
        *,
        limit: int,
        window: float | timedelta,
        cost: int = 1,
    ) -> Decision: ...

    async def reset(
        self,
        subject: UUID | str,
        endpoint: str | None = None,
        *,
        window: float | timedelta | None = None,
    ) -> int: ...

    async def usage(
        self, subject: UUID | str | None = None, since: datetime | None = None
    ) -> list[EndpointUsage]: ...

    async def purge(self, older_than: float | timedelta) -> int: ...
