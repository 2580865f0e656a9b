"""Tokens taken before it is known how many a call will need."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, Self

from digitwin.errors import DigiTwinError, InvalidStateError, OutcomeUnknownError
from digitwin.kernel.execution.core import Core, operation
from digitwin.limits import fields
from digitwin.limits.buckets import Buckets, decision
from digitwin.limits.decision import Decision
from digitwin.limits.fields import Call

_logger = logging.getLogger(__name__)


class Reservation:
    """An estimate that was taken, to be settled once or cancelled; true when it was there.

    As an ``async with`` block it is cancelled when the block raises. One that is left without
    an error and without :meth:`settle` keeps its estimate, as one that is simply dropped does.
    """

    def __init__(self, core: Core, buckets: Buckets, call: Call, decision: Decision) -> None:
        self._core = core
        self._buckets = buckets
        self._call = call
        self._open = decision.allowed
        self.decision = decision
        """What the estimate was answered."""

    @property
    def allowed(self) -> bool:
        """Whether the estimate was there and has been taken."""
        return self.decision.allowed

    def __bool__(self) -> bool:
        return self.allowed

    @operation
    async def settle(self, actual: int) -> Decision:
        """Give back what was taken too much, or take what was taken too little.

        What is not there is owed: the bucket stays empty for as long as the missing tokens
        take to come back, and later callers are told to wait that long. A bucket owes at most
        its limit, so that it begins to refill after one window at the latest; what goes
        beyond is forgiven. Nothing given back fills it over. A reservation that was made
        without the database changes nothing.

        Args:
            actual: tokens that were needed in the end, 0 to 1,000,000,000.

        Raises:
            InvalidStateError: nothing is reserved: it was refused, settled or cancelled.
            OutcomeUnknownError: the answer was lost; it counts as settled.
            ConnectionFailedError: the database did nothing; it can be tried again.
        """
        tokens = fields.tokens(actual, "actual", 0)
        return await self._change(self._call.cost - tokens)

    @operation
    async def cancel(self) -> Decision:
        """Give the estimate back; as :meth:`settle` with 0."""
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
        except DigiTwinError as failure:  # the block's own error says more
            _logger.warning("limits: a reservation could not be cancelled: %s", failure)

    def __repr__(self) -> str:
        state = "open" if self._open else "closed" if self.allowed else "refused"
        return f"<digitwin.Reservation of {self._call.cost}, {state}>"


class Reserving:
    """A reservation about to be made: await it, or enter it."""

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
