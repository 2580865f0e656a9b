"""How often somebody may do something: token buckets, one row each."""

from __future__ import annotations

import builtins
import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from digitwin.errors import DigiTwinError, RateLimitedError
from digitwin.kernel.core import Core, operation
from digitwin.kernel.repository import Repository
from digitwin.kernel.sql import load
from digitwin.kernel.usage import Batch, Buffer
from digitwin.limits import fields
from digitwin.limits.decision import Decision, EndpointUsage

if TYPE_CHECKING:
    from digitwin.limits.protocols import RateLimits

_logger = logging.getLogger(__name__)

BATCH: Final = 1000
"""Rows looked at by one statement of ``purge``: some 10 ms, after which every lock is free."""

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_SQL = load(__package__)


class RateLimitRepository(Repository):
    """Buckets of tokens: a new one is full and refills evenly over its window.

    A bucket is subject, endpoint and window, so that a limit per second and one per day stand
    side by side. A decision is one statement and commits by itself, within a transaction too:
    a rollback refunds nothing, and no lock lasts until the commit. The database clock decides.
    Decisions do not wait for the disk: a crash of the server may forget the last few.
    """

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._usage = Buffer(self._count, interval=core.settings.flush_interval)
        self._usage.start()

    @operation
    async def consume(
        self,
        subject: UUID | str,
        endpoint: str,
        *,
        limit: int,
        window: float | timedelta,
        cost: int = 1,
    ) -> Decision:
        """Take tokens atomically, or none; the answer is true when they were there.

        Args:
            subject: whose bucket it is: a user's id, or any name such as an address, at most
                200 characters.
            endpoint: for what, at most 200 characters.
            limit: tokens of a full bucket, 1 to 1,000,000,000. A bucket called with another
                limit than before stays as full, in parts of the whole, as it was.
            window: seconds in which an empty bucket becomes full, 1 ms to 366 days.
            cost: tokens to take, 1 to ``limit``.

        Raises:
            InvalidInputError: names the field that does not fit.
            OutcomeUnknownError: the answer was lost; the tokens may be gone.
        """
        call = fields.call(subject, endpoint, limit, window, cost)
        return await self._decide(call)

    @operation
    async def peek(
        self,
        subject: UUID | str,
        endpoint: str,
        *,
        limit: int,
        window: float | timedelta,
        cost: int = 1,
    ) -> Decision:
        """What :meth:`consume` would answer now; takes nothing and counts nowhere.

        ``remaining`` and ``reset_after`` speak of the bucket as it is.
        """
        call = fields.call(subject, endpoint, limit, window, cost)
        held = await self._core.aside.fetchval(_SQL["peek"], *call.bucket, float(call.limit))
        tokens = float(call.limit) if held is None else held
        return _decision(call, tokens, tokens >= call.cost)

    @operation
    async def require(
        self,
        subject: UUID | str,
        endpoint: str,
        *,
        limit: int,
        window: float | timedelta,
        cost: int = 1,
    ) -> Decision:
        """As :meth:`consume`, for callers who cannot go on without.

        Raises:
            RateLimitedError: the tokens are not there; ``.decision`` says when to come back.
        """
        call = fields.call(subject, endpoint, limit, window, cost)
        decision = await self._decide(call)
        if not decision:
            raise RateLimitedError(
                f"The budget for {call.bucket.endpoint} is spent:"
                f" try again in {decision.retry_after:g} s",
                decision=decision,
            )
        return decision

    @operation
    async def reset(
        self,
        subject: UUID | str,
        endpoint: str | None = None,
        *,
        window: float | timedelta | None = None,
    ) -> int:
        """Fill a subject's buckets again; how many there were.

        Args:
            endpoint: only this one's; None means every endpoint.
            window: only the bucket of this window; None means every window.
        """
        removed: int = await self._core.aside.fetchval(
            _SQL["reset"],
            fields.subject_name(subject),
            None if endpoint is None else fields.name(endpoint, "endpoint"),
            None if window is None else fields.milliseconds(window),
            write=True,
        )
        return removed

    @operation
    async def usage(
        self, subject: UUID | str | None = None, since: datetime | None = None
    ) -> builtins.list[EndpointUsage]:
        """Decisions by hour and endpoint, the oldest first; of all subjects, or of one.

        This handle's are complete; those of others arrive within their ``flush_interval``.

        Args:
            since: the first hour is the one this moment lies in; None means from the start.
        """
        await self._usage.flush()
        start = _BEGINNING if since is None else fields.moment(since, "since")
        if subject is None:
            rows = await self._core.aside.fetch(_SQL["usage"].format(subject=""), start)
        else:
            query = _SQL["usage"].format(subject=" AND subject = $2")
            rows = await self._core.aside.fetch(query, start, fields.subject_name(subject))
        return [EndpointUsage(**row) for row in rows]

    @operation
    async def purge(self, older_than: float | timedelta) -> int:
        """Remove buckets unused for so many seconds and full again; how many there were.

        Usage older than that goes too. Runs in short statements that nobody has to wait for;
        several instances may run it at once.
        """
        age = fields.age(older_than)
        removed = await self._purge_buckets(age)
        while (
            await self._core.aside.fetchval(_SQL["purge_usage_batch"], age, BATCH, write=True)
            == BATCH
        ):
            pass
        return removed

    async def close(self) -> None:
        """Write what is still counted in memory; the handle calls this as it closes."""
        try:
            await self._usage.stop()
        except DigiTwinError as error:
            _logger.warning("limits: %d counts could not be written: %s", len(self._usage), error)

    async def _decide(self, call: fields.Call) -> Decision:
        row: Any = await self._core.aside.fetchrow(
            _SQL["consume"], *call.bucket, float(call.limit), float(call.cost), write=True
        )
        tokens, allowed = row
        key = (call.bucket.endpoint, call.bucket.subject)
        self._usage.add(key, **({"allowed": 1} if allowed else {"denied": 1}))
        return _decision(call, tokens, allowed)

    async def _purge_buckets(self, age: float) -> int:
        removed = 0
        last: tuple[str, str, int] | None = ("", "", 0)
        while last is not None:
            row = await self._core.aside.fetchrow(
                _SQL["purge_batch"], *last, BATCH, age, write=True
            )
            last = None if row is None else (row["subject"], row["endpoint"], row["window_ms"])
            removed += 0 if row is None else row["gone"]
        return removed

    async def _count(self, batch: Batch) -> None:
        counted = [
            (endpoint, subject, counts.get("allowed", 0), counts.get("denied", 0))
            for (endpoint, subject), counts in batch.items()
        ]
        await self._core.aside.execute(_SQL["count_usage"], *_columns(counted))


def _decision(call: fields.Call, tokens: float, allowed: bool) -> Decision:
    return Decision.of(tokens, allowed, limit=call.limit, window=call.window, cost=call.cost)


def _columns(rows: Iterable[tuple[Any, ...]]) -> builtins.list[builtins.list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


if TYPE_CHECKING:

    def _is_what_is_promised(limits: RateLimitRepository) -> RateLimits:
        return limits
