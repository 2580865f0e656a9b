"""Leases for hot buckets: a process takes many tokens at once and then decides from memory.

Leased tokens have left the bucket, so that all processes together never admit more than it
held. They are spent or returned: when the handle closes, or ``LEASE_AGE`` after they were taken
(after the bucket's window, if that is shorter). This bounds the burst beyond the bucket's rate
to the tokens on lease. The tokens of a killed process are lost: fewer calls are admitted.
"""

from __future__ import annotations

import asyncio
import logging
from contextvars import Context
from typing import Final, NamedTuple

from digitwin.errors import DigiTwinError
from digitwin.kernel.execution.background import NEVER, BackgroundTask
from digitwin.limits.buckets import BATCH, Buckets, TakeResult, decision
from digitwin.limits.decision import Decision
from digitwin.limits.fields import Bucket, LimitCall

LEASE_AGE: Final = 5.0
"""Seconds for which leased tokens may be spent."""
SWEEP: Final = 1.0
"""Seconds between two sweeps, which return expired tokens."""
REFUSAL_AGE: Final = 1.0
"""Seconds a refusal is remembered at most: another process may return tokens."""
MAX_LEASES: Final = 10_000
"""Buckets with a lease in one process; for others the database decides each time."""

_logger = logging.getLogger(__name__)


class _Refusal(NamedTuple):
    """A bucket that held too few tokens, as the database last reported it."""

    need: int
    tokens: float
    behind: float
    at: float
    until: float

    def now_holds(self, call: LimitCall, now: float) -> tuple[float, float]:
        """Return its tokens now, and the seconds until it begins to refill."""
        waited = now - self.at
        back = max(0.0, waited - self.behind) * call.limit / call.window
        return self.tokens + back, max(0.0, self.behind - waited)


class _Lease:
    """Tokens of one bucket that this process holds."""

    __slots__ = ("call", "ends", "left", "refill", "refusal", "tokens")

    def __init__(self, call: LimitCall) -> None:
        self.call = call
        self.tokens = 0
        self.left = 0.0
        """Tokens left in the bucket, as the database last reported."""
        self.ends = 0.0
        """When the tokens expire, by the event loop's clock."""
        self.refusal: _Refusal | None = None
        self.refill: asyncio.Task[None] | None = None

    def decide(self, call: LimitCall, now: float) -> Decision | None:
        """Decide from memory; None if the database must be asked."""
        held = self.held(now)
        if held >= call.cost:
            self.tokens = held - call.cost
            return decision(call, self.left + self.tokens, True)
        if self.refusal is None or now >= self.refusal.until:
            return None
        return self.refuse(call, now) if call.cost - held >= self.refusal.need else None

    def refuse(self, call: LimitCall, now: float) -> Decision:
        """Refuse, from what the bucket and the lease hold together."""
        assert self.refusal is not None
        tokens, behind = self.refusal.now_holds(call, now)
        return decision(call, tokens + self.held(now), False, behind)

    def held(self, now: float) -> int:
        """Return the tokens that may be spent."""
        return self.tokens if now < self.ends else 0

    def refilled(self, call: LimitCall, result: TakeResult, sent: float, now: float) -> None:
        """Note the database's answer; its age counts from ``sent``, when it was asked."""
        self.left = result.tokens
        if result.sufficient:
            self.refusal = None
            self.ends = self.ends if self.tokens else sent + min(call.window, LEASE_AGE)
            self.tokens += result.taken
        else:
            missing = (call.cost - result.tokens) * call.window / call.limit
            until = sent + min(result.behind + missing, REFUSAL_AGE)
            self.refusal = _Refusal(call.cost, result.tokens, result.behind, now, until)

    def take_expired(self, now: float) -> int:
        """Remove and return the tokens that have expired."""
        if now < self.ends:
            return 0
        tokens, self.tokens = self.tokens, 0
        return tokens

    def idle(self, now: float) -> bool:
        """Return whether it holds nothing worth keeping."""
        if self.tokens or self.refill is not None:
            return False
        return self.refusal is None or now >= self.refusal.until


class Leases:
    """The leases of one handle."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self._loop = asyncio.get_running_loop()
        self._leases: dict[tuple[Bucket, int], _Lease] = {}
        self._returns: dict[Bucket, tuple[LimitCall, float]] = {}
        self._stopping = False
        self._sweeper = BackgroundTask(
            self._sweep, name="lease sweep", logger=_logger, interval=SWEEP
        )

    def decide(self, call: LimitCall) -> Decision | None:
        """Decide from memory, awaiting nothing; None if the database must be asked."""
        lease = self._leases.get(call[:2])
        return None if lease is None else lease.decide(call, self._loop.time())

    async def consume(self, call: LimitCall, size: int) -> Decision:
        """Decide from memory, after taking a lease of up to ``size`` tokens if it is empty.

        Callers that find the lease empty share one refill, which goes on when one of them is
        cancelled. A caller whose own refill was spent by others asks the database for itself.
        """
        led = False
        while (answer := self.decide(call)) is None:
            lease = self._lease(call)
            if lease is not None and led and lease.refusal is not None:
                return lease.refuse(call, lease.refusal.at)
            if lease is None or led:
                return await self._buckets.consume(call)
            if lease.refill is None:
                led = True
                lease.refill = self._loop.create_task(
                    self._refill(lease, call, size),
                    name="digitwin lease",
                    context=Context(),  # shared: it belongs to no caller and no transaction
                )
                lease.refill.add_done_callback(_retrieve_exception)
            refill = lease.refill
            await asyncio.wait([refill])
            refill.result()
        return answer

    def forget(self, subject: str, endpoint: str | None, window_ms: int | None) -> None:
        """Drop the leases of buckets that are about to be reset."""
        for (bucket, _), lease in self._leases.items():
            if bucket.subject == subject and (
                endpoint in (None, bucket.endpoint) and window_ms in (None, bucket.window_ms)
            ):
                lease.tokens, lease.refusal = 0, None

    def forget_person(self, id: str) -> None:
        """Drop the leases of a person, whose subject is their id or ends in it."""
        for bucket, _ in list(self._leases):
            if bucket.subject == id or bucket.subject.endswith((f":{id}", f"/{id}")):
                self.forget(bucket.subject, None, None)

    async def stop(self) -> None:
        """Return all tokens; later calls ask the database."""
        self._stopping = True
        refills = [lease.refill for lease in self._leases.values() if lease.refill is not None]
        if refills:
            await asyncio.wait(refills)
        await self._sweeper.stop(finish=True)  # cancelled, it would lose the tokens it returns
        for lease in self._leases.values():
            lease.ends = 0.0
        self._collect_expired()
        self._leases.clear()
        await self._return_tokens()

    def _lease(self, call: LimitCall) -> _Lease | None:
        """Return the bucket's lease, new if needed; None if no more leases are kept."""
        if self._stopping:
            return None
        lease = self._leases.get(call[:2])
        if lease is not None or len(self._leases) >= MAX_LEASES:
            return lease
        self._sweeper.start()
        lease = self._leases[call[:2]] = _Lease(call)
        return lease

    async def _refill(self, lease: _Lease, call: LimitCall, size: int) -> None:
        try:
            sent = self._loop.time()
            self._schedule_return(lease, sent)
            if call.bucket in self._returns:
                await self._return_tokens()
                sent = self._loop.time()
            needed = call._replace(cost=call.cost - lease.tokens)
            result = await self._buckets.take(needed, size)
            self._schedule_return(lease, now := self._loop.time())
            lease.refilled(needed, result, sent, now)
        finally:
            lease.refill = None

    async def _sweep(self) -> float | None:
        self._collect_expired()
        await self._return_tokens()
        return None if self._leases else NEVER

    def _collect_expired(self) -> None:
        """Drop idle leases and schedule the return of expired tokens."""
        now = self._loop.time()
        for key, lease in list(self._leases.items()):
            self._schedule_return(lease, now)
            if lease.idle(now):
                del self._leases[key]

    def _schedule_return(self, lease: _Lease, now: float) -> None:
        tokens = lease.take_expired(now)
        if tokens:
            call = lease.call
            other, owed = self._returns.get(call.bucket, (call, 0.0))
            self._returns[call.bucket] = call, tokens + owed / other.limit * call.limit

    async def _return_tokens(self) -> None:
        """Return scheduled tokens, without a retry: a return counted twice would admit too many."""
        owed, self._returns = sorted(self._returns.items()), {}
        for start in range(0, len(owed), BATCH):
            batch = [given for _, given in owed[start : start + BATCH]]
            try:
                await self._buckets.settle(batch)
            except DigiTwinError as error:
                lost = sum(tokens for _, tokens in batch)
                _logger.warning("limits: %g leased tokens were not returned: %s", lost, error)


def _retrieve_exception(refill: asyncio.Task[None]) -> None:
    """Retrieve the exception: asyncio would warn if every waiting caller was cancelled."""
    if not refill.cancelled():
        refill.exception()
