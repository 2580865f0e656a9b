"""How often somebody may do something: token buckets, one row each."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from digitwin.errors import RateLimitedError
from digitwin.kernel.execution.core import Core, operation
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.repository.base import Repository
from digitwin.limits import fields
from digitwin.limits.buckets import Buckets, Taking
from digitwin.limits.decision import Ask, Decision, EndpointUsage, JointDecision
from digitwin.limits.failsafe import RETRY_AFTER, Patience
from digitwin.limits.fields import Call
from digitwin.limits.leases import Leases
from digitwin.limits.policy_index import Rules
from digitwin.limits.reservation import Reservation, Reserving
from digitwin.limits.usage import Usage

T = TypeVar("T")


class RateLimitRepository(Repository):
    """Buckets of tokens: a new one is full and refills evenly over its window.

    A bucket is subject, endpoint and window, so that a limit per second and one per day stand
    side by side. A decision is one statement and commits by itself, within a transaction too:
    a rollback refunds nothing, and no lock lasts until the commit. The database clock decides.
    Decisions do not wait for the disk: a crash of the server may forget the last few.

    With ``decision_timeout`` set, a decision never raises because of the database: when there
    is no answer in time, or no connection, ``limiter_on_timeout`` decides, and the decision
    says that it is ``degraded``. The tokens may have been taken all the same.
    """

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._buckets = Buckets(core)
        self._leases = Leases(self._buckets)
        self._rules = Rules(core.settings.policies)
        self._usage = Usage(core)
        self._patience = Patience.of(core.settings)

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
        """Take tokens atomically, or none; the answer is true when they were there.

        With ``lease`` the process takes that many tokens at once, or as many as there are, and
        answers from memory until they are spent. All processes together never admit more than
        the bucket holds; the tokens of a quiet one are missing to the others until they are
        given back: five seconds after they were taken (or the window, if it is shorter) they
        can no longer be spent, one more second and they are back. A closing handle gives back
        at once; a killed process only ever makes fewer calls pass. A refusal is remembered
        for as long as it says, at most a second. ``remaining`` and ``reset_after`` then are
        what this process knows.

        Args:
            subject: whose bucket it is: a user's id, or any name such as an address, at most
                200 characters.
            endpoint: for what, at most 200 characters.
            limit: tokens of a full bucket, 1 to 1,000,000,000. A bucket called with another
                limit than before stays as full, in parts of the whole, as it was.
            window: seconds in which an empty bucket becomes full, 1 ms to 366 days.
            cost: tokens to take, 1 to ``limit``.
            lease: tokens to take at once for a bucket asked very often, 1 to ``limit``.

        Raises:
            InvalidInputError: names the field that does not fit.
            OutcomeUnknownError: the answer was lost; the tokens may be gone.
        """
        call = fields.call(subject, endpoint, limit, window, cost)
        if lease is not None:
            fields.tokens(lease, "lease", 1, call.limit)
            decision = self._leases.answer(call) if self._may_remember() else None
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
        """What :meth:`consume` would answer now; takes nothing and counts nowhere.

        ``remaining`` and ``reset_after`` speak of the bucket as it is, without what is leased.
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
        """As :meth:`consume`, for callers who cannot go on without.

        Raises:
            RateLimitedError: the tokens are not there; ``.decision`` says when to come back.
        """
        decision = await self.consume(
            subject, endpoint, limit=limit, window=window, cost=cost, lease=lease
        )
        if not decision:
            raise RateLimitedError(
                f"The budget for {endpoint} is spent: try again in {decision.retry_after:g} s",
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
    ) -> Reserving:
        """Take an estimate now and settle it when the number is known, as for LLM tokens.

        Await it, or enter it: an ``async with`` block cancels it when it raises::

            async with db.limits.reserve(user.id, "llm", limit=9000, window=60, cost=800) as budget:
                if budget:
                    answer = await ask_the_model()
                    await budget.settle(answer.usage.total_tokens)

        Args and Raises as :meth:`consume`; ``cost`` is the estimate.
        """

        async def make() -> Reservation:
            call = fields.call(subject, endpoint, limit, window, cost)
            decision = await self._decide(call, None)
            return Reservation(self._core, self._buckets, call, decision)

        return Reserving(make)

    @operation
    async def consume_all(self, asks: Iterable[Ask]) -> JointDecision:
        """Take from several buckets, of all or of none, in one statement.

        Args:
            asks: 1 to 100, each of another bucket.

        Raises:
            InvalidInputError: names the field that does not fit.
            OutcomeUnknownError: the answer was lost; the tokens may be gone.
        """
        calls = fields.calls(asks)
        takings = await self._answer(self._buckets.take_all(calls))
        return self._joint(calls, takings)

    @operation
    async def check(self, user_id: UUID | str, endpoint: str, cost: int = 1) -> JointDecision:
        """Take what the policies for this person and endpoint demand, of all or of none.

        The policies are the setting ``policies``. The person's tier is read by the same
        statement: a changed one counts at once. Where no policy of the endpoint is for their
        tier, the answer is true and holds no decision.

        Raises:
            InvalidInputError: no policy names the endpoint, or ``cost`` is more than one that
                applies ever admits.
            NotFoundError: there is no such person.
        """
        person = parse_id(user_id, "user_id")
        calls, tiers = self._rules.calls(person, endpoint, cost)
        takings = await self._answer(self._buckets.take_by_tier(calls, tiers, person))
        for taking in takings or ():
            fields.tokens(cost, "cost", 1, calls[taking.place].limit)
        return self._joint(calls, takings)

    @operation
    async def reset(
        self,
        subject: UUID | str,
        endpoint: str | None = None,
        *,
        window: float | timedelta | None = None,
    ) -> int:
        """Fill a subject's buckets again; how many there were.

        What other processes hold on lease remains theirs.

        Args:
            endpoint: only this one's; None means every endpoint.
            window: only the bucket of this window; None means every window.
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
        """Decisions by hour and endpoint, the oldest first; of all subjects, or of one.

        This handle's are complete; those of others arrive within their ``flush_interval``.

        Args:
            since: the first hour is the one this moment lies in; None means from the start.
        """
        return await self._usage.read(
            None if subject is None else fields.subject_name(subject),
            None if since is None else fields.moment(since, "since"),
        )

    @operation
    async def purge(self, older_than: float | timedelta) -> int:
        """Remove buckets unused for so many seconds and full again; how many there were.

        Usage older than that goes too. Runs in short statements that nobody has to wait for;
        several instances may run it at once.
        """
        age = fields.age(older_than)
        removed = await self._buckets.purge(age)
        await self._usage.purge(age)
        return removed

    @operation
    async def forget(self, subject: UUID | str) -> None:
        """Keep nothing of a subject in this process: what is on lease, and what is counted.

        Rows are not touched; an erasure removes them.
        """
        self._leases.forget(fields.subject_name(subject), None, None)
        await self._usage.flush()

    async def close(self) -> None:
        """Give back what is on lease and write what is still counted in memory.

        The handle calls this as it closes.
        """
        await self._leases.stop()
        if self._patience is not None:
            await self._patience.stop()
        await self._usage.close()

    @operation
    async def _decide(self, call: Call, lease: int | None) -> Decision:
        decision = await self._answer(
            self._leases.consume(call, lease) if lease else self._buckets.consume(call)
        )
        if decision is None:
            decision = self._without_database(call)
        self._usage.count(call.bucket, decision.allowed)
        return decision

    def _joint(self, calls: Sequence[Call], takings: Sequence[Taking] | None) -> JointDecision:
        """What was taken, or, when nobody knows, what is answered all the same; counted."""
        if takings is None:
            answered = [(call, self._without_database(call)) for call in calls]
        else:
            answered = [(call := calls[each.place], each.decision(call)) for each in takings]
        joint = JointDecision(
            tuple(call.ask for call, _ in answered), tuple(decision for _, decision in answered)
        )
        refused = {call.bucket[:2]: call.bucket for call, decision in answered if not decision}
        counted = refused or {call.bucket[:2]: call.bucket for call, _ in answered}
        for bucket in counted.values():
            self._usage.count(bucket, joint.allowed)
        return joint

    async def _answer(self, asking: Coroutine[Any, Any, T]) -> T | None:
        """The database's, or None when it gave none in time and that is no error."""
        return await (asking if self._patience is None else self._patience.wait(asking))

    def _without_database(self, call: Call) -> Decision:
        assert self._patience is not None
        allow = self._patience.allow
        return Decision(allow, call.limit, 0, 0.0 if allow else RETRY_AFTER, 0.0, degraded=True)

    def _may_remember(self) -> bool:
        """Whether a call that asks no database is as good as one that would."""
        return not self._core.closing and asyncio.get_running_loop() is self._core.loop
