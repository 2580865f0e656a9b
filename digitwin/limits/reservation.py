"""Reservations: tokens taken before a call's real cost is known."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, Self

from digitwin.errors import DigiTwinError, InvalidStateError, OutcomeUnknownError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.operations import operation
from digitwin.limits import fields
from digitwin.limits.buckets import Buckets, decision
from digitwin.limits.decision import Decision
from digitwin.limits.fields import LimitCall

_logger = logging.getLogger(__name__)


class Reservation:
    """An estimate taken from a bucket, to be settled or cancelled once; truthy if allowed.

    In an ``async with`` block it is cancelled when the block raises. Without an error and
    without :meth:`settle` the estimate stays taken, as it does when the object is dropped.
    """

    def __init__(self, core: Core, buckets: Buckets, call: LimitCall, decision: Decision) -> None:
        self._core = core
        self._buckets = buckets
        self._call = call
        self._open = decision.allowed
        self.decision = decision
        """The decision on the estimate."""

    @property
    def allowed(self) -> bool:
        """Whether the estimate was taken."""
        return self.decision.allowed

    def __bool__(self) -> bool:
        return self.allowed

    @operation
    async def settle(self, actual: int) -> Decision:
        """Return the tokens not needed, or take the missing ones.

        Tokens the bucket does not hold become a debt: it stays empty until they have refilled,
        and ``retry_after`` of later calls includes that time. A debt is at most the limit, so
        that the bucket begins to refill after one window at the latest; the rest is waived.
        Returned tokens never fill a bucket beyond its limit. A reservation made without the
        database changes nothing.

        Args:
            actual: tokens that were needed, 0 to 1,000,000,000.

        Returns:
            The bucket's state afterwards, as an allowed decision.

        Raises:
            InvalidInputError: ``actual`` is out of range.
            InvalidStateError: it was refused, settled or cancelled before.
            OutcomeUnknownError: the answer was lost; it counts as settled.
            ConnectionFailedError: nothing was changed; it can be tried again.
        """
        tokens = fields.tokens(actual, "actual", 0)
        return await self._change(self._call.cost - tokens)

    @operation
    async def cancel(self) -> Decision:
        """Return the whole estimate, as ``settle(0)`` does."""
        return await self._change(self._call.cost)

    async def _change(self, tokens: int) -> Decision:
        if not self._open:
            word = "was settled or cancelled before" if self.allowed else "was refused"
            raise InvalidStateError(f"The reservation {word}")
        self._open = False
        if self.decision.degraded or not tokens:
            return self.decision
        try:
            rows = await self._buckets.settle([(self._call, tokens)])
        except OutcomeUnknownError:
            raise
        except DigiTwinError:
            self._open = True
            raise
        held, behind = rows[0] if rows else (self._call.limit, 0.0)
        return decision(self._call, held, True, behind)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: Any
    ) -> None:
        if kind is None or not self._open:
            return
        try:
            await self.cancel()
        except DigiTwinError as failure:  # logged only: the block's own error matters more
            _logger.warning("limits: a reservation could not be cancelled: %s", failure)

    def __repr__(self) -> str:
        state = "open" if self._open else "closed" if self.allowed else "refused"
        return f"<digitwin.Reservation of {self._call.cost}, {state}>"


class PendingReservation:
    """A reservation not made yet: await it, or enter it with ``async with``."""

    def __init__(self, reserve: Callable[[], Awaitable[Reservation]]) -> None:
        self._reserve = reserve
        self._made: Reservation | None = None

    def __await__(self) -> Generator[Any, None, Reservation]:
        return self._reserve().__await__()

    async def __aenter__(self) -> Reservation:
        self._made = await self._reserve()
        return self._made

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._made is not None:
            await self._made.__aexit__(kind, error, trace)
