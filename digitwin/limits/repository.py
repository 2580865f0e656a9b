"""Rate limits: token buckets, one row each."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from digitwin.errors import RateLimitedError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.repository.base import Repository
from digitwin.limits import fields
from digitwin.limits.buckets import Buckets, TakeResult
from digitwin.limits.decision import Ask, Decision, EndpointUsage, JointDecision
from digitwin.limits.failsafe import RETRY_AFTER, Failsafe
from digitwin.limits.fields import LimitCall
from digitwin.limits.leases import Leases
from digitwin.limits.policy_index import PolicyIndex
from digitwin.limits.reservation import PendingReservation, Reservation
from digitwin.limits.usage import UsageCounters

T = TypeVar("T")


class RateLimitRepository(Repository):
    """Token buckets: a new one is full, and refills evenly over its window.

    The key of a bucket is subject, endpoint and window, so that a limit per second and one per
    day can coexist. A decision is one statement that commits by itself, inside a transaction
    too: a rollback refunds nothing, and no lock is held until the commit. The database clock
    decides. Decisions commit asynchronously: a server crash may lose the last few.

    With ``decision_timeout`` set, a decision never raises because of the database: on timeout
    or connection failure, and on a server that is read-only or full, ``limiter_on_timeout``
    decides, and the decision is ``degraded``. The
    tokens may have been taken all the same.
    """

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._buckets = Buckets(core)
        self._leases = Leases(self._buckets)
        self._policies = PolicyIndex(core.settings.policies)
        self._usage = UsageCounters(core)
        self._failsafe = Failsafe.of(core.settings)

    async def consume(
        self,
        subject: UUID | str,
        endpoint: str,
        *,
        limit: int,
        window: float | timedelta,
        cost: int = 1,
        lease: int | None = None,
    ) -> Decision:
        """Take tokens atomically, all or none.

        With ``lease`` the process takes that many tokens at once, or as many as there are, and
        decides from memory until they are spent. All processes together never admit more than
        the bucket holds. Leased tokens that are not spent are missing to other processes for a
        while: they expire after five seconds (or the window, if it is shorter) and are returned
        within another second. A closing handle returns them at once; those of a killed process
        are lost. A refusal is remembered for its ``retry_after``, at most a second.
        ``remaining`` and ``reset_after`` are then what this process knows.

        Args:
            subject: the bucket's owner: a user's id, or any name such as an address, at most
                200 characters. A UUID in it, as in ``user:<id>``, has one bucket in every
                spelling.
            endpoint: what is limited, at most 200 characters.
            limit: tokens of a full bucket, 1 to 1,000,000,000. When the limit of a bucket
                changes, it keeps its fill level as a share of the limit.
            window: seconds in which an empty bucket becomes full, 1 ms to 366 days.
            cost: tokens to take, 1 to ``limit``.
            lease: tokens to take at once, for a bucket that is used very often, 1 to ``limit``.

        Returns:
            The decision, truthy if the tokens were taken.

        Raises:
            InvalidInputError: names the invalid argument.
            OutcomeUnknownError: the answer was lost; the tokens may have been taken.
        """
        call = fields.call(subject, endpoint, limit, window, cost)
        if lease is not None:
            lease = fields.tokens(lease, "lease", 1, call.limit)
            decision = self._leases.decide(call) if self._may_remember() else None
            if decision is not None:
                self._usage.count(call.bucket, decision.allowed)
                return decision
        return await self._decide(call, lease)

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
        """Return what :meth:`consume` would return now; takes and counts nothing.

        ``remaining`` and ``reset_after`` do not include tokens on lease.

        Args:
            subject, endpoint, limit, window, cost: as for :meth:`consume`.

        Raises:
            InvalidInputError: names the invalid argument.
        """
        call = fields.call(subject, endpoint, limit, window, cost)
        decision = await self._answer(self._buckets.peek(call))
        return self._without_database(call) if decision is None else decision

    async def require(
        self,
        subject: UUID | str,
        endpoint: str,
        *,
        limit: int,
        window: float | timedelta,
        cost: int = 1,
        lease: int | None = None,
    ) -> Decision:
        """Take tokens as :meth:`consume` does, or raise.

        Args:
            subject, endpoint, limit, window, cost, lease: as for :meth:`consume`.

        Raises:
            RateLimitedError: the bucket does not hold the tokens; ``.decision.retry_after``
                says when it will.
            InvalidInputError: names the invalid argument.
            OutcomeUnknownError: the answer was lost; the tokens may have been taken.
        """
        decision = await self.consume(
            subject, endpoint, limit=limit, window=window, cost=cost, lease=lease
        )
        if not decision:
            raise RateLimitedError(
                f"The limit of {str.__str__(endpoint)} is reached: try again in"
                f" {decision.retry_after:g} s",
                decision=decision,
            )
        return decision

    def reserve(
        self,
        subject: UUID | str,
        endpoint: str,
        *,
        limit: int,
        window: float | timedelta,
        cost: int,
    ) -> PendingReservation:
        """Take an estimate now and settle it when the real cost is known, as for LLM tokens.

        Await it or enter it; an ``async with`` block that raises cancels it::

            async with db.limits.reserve(user.id, "llm", limit=9000, window=60, cost=800) as budget:
                if budget:
                    answer = await ask_the_model()
                    await budget.settle(answer.usage.total_tokens)

        Args:
            subject, endpoint, limit, window: as for :meth:`consume`.
            cost: the estimate, 1 to ``limit`` tokens.

        Returns:
            A reservation, truthy if the estimate was taken.

        Raises (when awaited or entered):
            InvalidInputError: names the invalid argument.
            OutcomeUnknownError: the answer was lost; the tokens may have been taken.
        """

        async def make() -> Reservation:
            call = fields.call(subject, endpoint, limit, window, cost)
            decision = await self._decide(call, None)
            return Reservation(self._core, self._buckets, call, decision)

        return PendingReservation(make)

    @operation
    async def consume_all(self, asks: Iterable[Ask]) -> JointDecision:
        """Take tokens from several buckets in one statement, from all or from none.

        Args:
            asks: 1 to 100, each for a different bucket.

        Returns:
            The decision on each ask; truthy if all were allowed.

        Raises:
            InvalidInputError: names the invalid argument.
            OutcomeUnknownError: the answer was lost; the tokens may have been taken.
        """
        calls = fields.calls(asks)
        results = await self._answer(self._buckets.take_all(calls))
        return self._joint(calls, results)

    @operation
    async def check(self, user_id: UUID | str, endpoint: str, cost: int = 1) -> JointDecision:
        """Take tokens from every bucket that the policies require, from all or from none.

        The policies come from the setting ``policies``. The same statement reads the person's
        tier, so that a change of tier takes effect at once.

        Args:
            user_id: the person, whose tier selects the policies.
            endpoint: as named by the policies.
            cost: tokens to take from each bucket.

        Returns:
            The decision on each bucket. If no policy of the endpoint applies to the tier, it is
            empty and truthy.

        Raises:
            InvalidInputError: no policy names the endpoint, or ``cost`` exceeds the limit of a
                policy that applies.
            NotFoundError: the person does not exist.
            OutcomeUnknownError: the answer was lost; the tokens may have been taken.
        """
        person = parse_id(user_id, "user_id")
        calls, tiers = self._policies.calls(person, endpoint, cost)
        results = await self._answer(self._buckets.take_by_tier(calls, tiers, person))
        for result in results or ():
            fields.tokens(cost, "cost", 1, calls[result.index].limit)
        return self._joint(calls, results)

    @operation
    async def reset(
        self,
        subject: UUID | str,
        endpoint: str | None = None,
        *,
        window: float | timedelta | None = None,
    ) -> int:
        """Fill a subject's buckets; return how many existed.

        Tokens that other processes hold on lease stay with them.

        Args:
            subject: as for :meth:`consume`.
            endpoint: only this endpoint's buckets; None means all.
            window: only the bucket of this window; None means all.

        Raises:
            InvalidInputError: names the invalid argument.
        """
        whose = (
            fields.subject_name(subject),
            None if endpoint is None else fields.name(endpoint, "endpoint"),
            None if window is None else fields.milliseconds(window),
        )
        self._leases.forget(*whose)
        return await self._buckets.reset(*whose)

    @operation
    async def usage(
        self, subject: UUID | str | None = None, since: datetime | None = None
    ) -> list[EndpointUsage]:
        """Return the decisions by hour and endpoint, oldest first.

        This handle's are complete; those of others arrive within their ``flush_interval``.

        Args:
            subject: only this subject's decisions; None means all.
            since: starts with the hour that contains this moment; None means the first hour.

        Raises:
            InvalidInputError: names the invalid argument.
        """
        return await self._usage.read(
            None if subject is None else fields.subject_name(subject),
            None if since is None else fields.moment(since, "since"),
        )

    @operation
    async def purge(self, older_than: float | timedelta) -> int:
        """Delete buckets that are full and unused for this long; return how many.

        Deletes usage of that age too. Runs in short statements that skip locked rows. Safe to
        run concurrently.

        Args:
            older_than: seconds or a timedelta, at most 100 years.

        Raises:
            InvalidInputError: ``older_than`` is out of range.
        """
        age = fields.age(older_than)
        removed = await self._buckets.purge(age)
        await self._usage.purge(age)
        return removed

    @operation
    async def forget(self, subject: UUID | str) -> None:
        """Drop a subject's leases and write its pending counts, before an erasure.

        Those of names that end in it, such as ``user:<id>``, go too. Rows are not touched; the
        erasure deletes them.
        """
        self._leases.forget_person(fields.subject_name(subject))
        await self._usage.flush()

    async def close(self) -> None:
        """Return leased tokens and write pending counts; the handle calls this as it closes."""
        await self._leases.stop()
        if self._failsafe is not None:
            await self._failsafe.stop()
        await self._buckets.stop()
        await self._usage.close()

    @operation
    async def _decide(self, call: LimitCall, lease: int | None) -> Decision:
        answer = self._leases.consume(call, lease) if lease else self._buckets.consume(call)
        decision = await (answer if self._failsafe is None else self._failsafe.run(answer))
        if decision is None:
            decision = self._without_database(call)
        self._usage.count(call.bucket, decision.allowed)
        return decision

    def _joint(
        self, calls: Sequence[LimitCall], results: Sequence[TakeResult] | None
    ) -> JointDecision:
        """Return and count the joint decision; without results, the fallback's."""
        if results is None:
            answered = [(call, self._without_database(call)) for call in calls]
        else:
            answered = [(call := calls[each.index], each.decision(call)) for each in results]
        joint = JointDecision(
            tuple(call.ask for call, _ in answered), tuple(decision for _, decision in answered)
        )
        refused = {call.bucket[:2]: call.bucket for call, decision in answered if not decision}
        counted = refused or {call.bucket[:2]: call.bucket for call, _ in answered}
        for bucket in counted.values():
            self._usage.count(bucket, joint.allowed)
        return joint

    async def _answer(self, statement: Coroutine[Any, Any, T]) -> T | None:
        """Return the database's result, or None if the failsafe is to decide."""
        return await (statement if self._failsafe is None else self._failsafe.run(statement))

    def _without_database(self, call: LimitCall) -> Decision:
        assert self._failsafe is not None
        allow = self._failsafe.allow
        return Decision(allow, call.limit, 0, 0.0 if allow else RETRY_AFTER, 0.0, degraded=True)

    def _may_remember(self) -> bool:
        """Return whether this handle may decide here without asking the database."""
        return not self._core.closing and asyncio.get_running_loop() is self._core.loop
