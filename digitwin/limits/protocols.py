"""What the limiter offers, for a fake to put in its place."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from digitwin.limits.decision import Ask, Decision, EndpointUsage, JointDecision


class Reserved(Protocol):
    """See :class:`~digitwin.Reservation`."""

    @property
    def allowed(self) -> bool: ...

    async def settle(self, actual: int) -> Decision: ...

    async def cancel(self) -> Decision: ...


class Reserves(Awaitable[Reserved], AbstractAsyncContextManager[Reserved], Protocol):
    """A reservation to be awaited or entered."""


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
        lease: int | None = None,
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
        lease: int | None = None,
    ) -> Decision: ...

    def reserve(
        self,
        subject: UUID | str,
        endpoint: str,
        *,
        limit: int,
        window: float | timedelta,
        cost: int,
    ) -> Reserves: ...

    async def consume_all(self, asks: Iterable[Ask]) -> JointDecision: ...

    async def check(self, user_id: UUID | str, endpoint: str, cost: int = 1) -> JointDecision: ...

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
