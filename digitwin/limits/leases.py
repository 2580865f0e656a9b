"""Hot buckets: a process takes many tokens in one round trip and then decides from memory.

Leased tokens have left the bucket, so that all processes together never admit more than it
held. They are spent or given back: when the handle closes, and ``LEASE_AGE`` after they were
taken at the latest (or after the bucket's window, where that is shorter), which bounds what
several processes may spend at once beyond the bucket's own rate to what they hold on lease.
What a killed process held is lost: it only ever admits fewer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from contextvars import Context
from typing import Any, Final, NamedTuple

from digitwin.errors import DigiTwinError
from digitwin.limits.buckets import BATCH, Buckets, Taking, decision
from digitwin.limits.decision import Decision
from digitwin.limits.fields import Bucket, Call

LEASE_AGE: Final = 5.0
"""Seconds that leased tokens may be spent for."""
SWEEP: Final = 1.0
"""Seconds between two rounds that give back what is past its time."""
REFUSAL_AGE: Final = 1.0
"""Seconds that a refusal is remembered at most: another process may give tokens back."""
MAX_LEASES: Final = 10_000
"""Buckets with a lease in one process; for more, the database is asked each time."""

_logger = logging.getLogger(__name__)


class _Refusal(NamedTuple):
    """A bucket that held too little, as it was when the database spoke of it."""

    need: int
    tokens: float
    behind: float
    at: float
    until: float

    def now_holds(self, call: Call, now: float) -> tuple[float, float]:
        """Tokens, and seconds until it begins to refill."""
        waited = now - self.at
        back = max(0.0, waited - self.behind) * call.limit / call.window
        return self.tokens + back, max(0.0, self.behind - waited)


class _Lease:
    """Tokens of one bucket that this process holds."""

    __slots__ = ("call", "ends", "left", "refill", "refusal", "tokens")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.tokens = 0
        self.left = 0.0
        """What was in the bucket when the database last spoke of it."""
        self.ends = 0.0
        """When the tokens may no longer be spent, by the event loop's clock."""
        self.refusal: _Refusal | None = None
        self.refill: asyncio.Task[None] | None = None

    def answer(self, call: Call, now: float) -> Decision | None:
        """From memory, where it can say."""
        held = self.held(now)
        if held >= call.cost:
            self.tokens = held - call.cost
            return decision(call, self.left + self.tokens, True)
        if self.refusal is None or now >= self.refusal.until:
            return None
        return self.refuse(call, now) if call.cost - held >= self.refusal.need else None

    def refuse(self, call: Call, now: float) -> Decision:
        """What the empty bucket and what is held say together."""
        assert self.refusal is not None
        tokens, behind = self.refusal.now_holds(call, now)
        return decision(call, tokens + self.held(now), False, behind)

    def held(self, now: float) -> int:
        """Tokens that may be spent."""
        return self.tokens if now < self.ends else 0

    def refilled(self, call: Call, taking: Taking, sent: float, now: float) -> None:
        """Remember what the database said: when it was asked bounds how old that is."""
        self.left = taking.tokens
        if taking.there:
            self.refusal = None
            self.ends = self.ends if self.tokens else sent + min(call.window, LEASE_AGE)
            self.tokens += taking.taken
        else:
            missing = (call.cost - taking.tokens) * call.window / call.limit
            until = sent + min(taking.behind + missing, REFUSAL_AGE)
            self.refusal = _Refusal(call.cost, taking.tokens, taking.behind, now, until)

    def past(self, now: float) -> int:
        """Take out what is past its time."""
        if now < self.ends:
            return 0
        tokens, self.tokens = self.tokens, 0
        return tokens

    def idle(self, now: float) -> bool:
        """Whether it says nothing any more."""
        if self.tokens or self.refill is not None:
            return False
        return self.refusal is None or now >= self.refusal.until


class Leases:
    """What one handle holds on lease."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self._loop = asyncio.get_running_loop()
        self._leases: dict[tuple[Bucket, int], _Lease] = {}
        self._owed: dict[Bucket, tuple[Call, float]] = {}
        self._stopping = asyncio.Event()
        self._sweeper: asyncio.Task[None] | None = None

    def answer(self, call: Call) -> Decision | None:
        """From memory, or None when the database must be asked; nothing is awaited."""
        lease = self._leases.get(call[:2])
        return None if lease is None else lease.answer(call, self._loop.time())

    async def consume(self, call: Call, size: int) -> Decision:
        """From memory, after taking a new lease of up to ``size`` tokens where need be.

        Callers who find it empty share one round trip, which goes on when one of them is
        cancelled. One whose own lease was spent by others meanwhile asks for itself.
        """
        led = False
        while (answer := self.answer(call)) is None:
            lease = self._lease(call)
            if lease is not None and led and lease.refusal is not None:
                return lease.refuse(call, lease.refusal.at)
            if lease is None or led:
                return await self._buckets.consume(call)
            if lease.refill is None:
                led = True
                lease.refill = self._task(self._refill(lease, call, size))
                lease.refill.add_done_callback(_seen)
            refill = lease.refill
            await asyncio.wait([refill])
            refill.result()
        return answer

    def forget(self, subject: str, endpoint: str | None, window_ms: int | None) -> None:
        """Drop what is held of buckets that are about to be filled again."""
        for (bucket, _), lease in self._leases.items():
            if bucket.subject == subject and (
                endpoint in (None, bucket.endpoint) and window_ms in (None, bucket.window_ms)
            ):
                lease.tokens, lease.refusal = 0, None

    async def stop(self) -> None:
        """Give everything back; calls from now on ask the database."""
        self._stopping.set()
        refills = [lease.refill for lease in self._leases.values() if lease.refill is not None]
        if refills:
            await asyncio.wait(refills)
        if self._sweeper is not None:
            await self._sweeper
        for lease in self._leases.values():
            lease.ends = 0.0
        self._collect()
        self._leases.clear()
        await self._give_back()

    def _lease(self, call: Call) -> _Lease | None:
        """The bucket's, a new one if need be; None where no more are kept."""
        if self._stopping.is_set():
            return None
        lease = self._leases.get(call[:2])
        if lease is not None or len(self._leases) >= MAX_LEASES:
            return lease
        if self._sweeper is None:
            self._sweeper = self._task(self._sweep())
        lease = self._leases[call[:2]] = _Lease(call)
        return lease

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """One that belongs to no caller and no transaction."""
        return self._loop.create_task(work, name="digitwin leases", context=Context())

    async def _refill(self, lease: _Lease, call: Call, size: int) -> None:
        try:
            sent = self._loop.time()
            self._owe(lease, sent)
            if call.bucket in self._owed:
                await self._give_back()
                sent = self._loop.time()
            needed = call._replace(cost=call.cost - lease.tokens)
            taking = await self._buckets.take(needed, size)
            self._owe(lease, now := self._loop.time())
            lease.refilled(needed, taking, sent, now)
        finally:
            lease.refill = None

    async def _sweep(self) -> None:
        try:
            while self._leases and not self._stopping.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), SWEEP)
                if not self._stopping.is_set():
                    self._collect()
                    await self._give_back()
        finally:
            self._sweeper = None

    def _collect(self) -> None:
        """Drop what says nothing, and note what is to be given back."""
        now = self._loop.time()
        for key, lease in list(self._leases.items()):
            self._owe(lease, now)
            if lease.idle(now):
                del self._leases[key]

    def _owe(self, lease: _Lease, now: float) -> None:
        tokens = lease.past(now)
        if tokens:
            call = lease.call
            other, owed = self._owed.get(call.bucket, (call, 0.0))
            self._owed[call.bucket] = call, tokens + owed / other.limit * call.limit

    async def _give_back(self) -> None:
        """What fails is not repeated: it may have been done, and too few is no harm."""
        owed, self._owed = sorted(self._owed.items()), {}
        for start in range(0, len(owed), BATCH):
            batch = [given for _, given in owed[start : start + BATCH]]
            try:
                await self._buckets.settle(batch)
            except DigiTwinError as error:
                lost = sum(tokens for _, tokens in batch)
                _logger.warning("limits: %g leased tokens are lost: %s", lost, error)


def _seen(refill: asyncio.Task[None]) -> None:
    """Its error is nobody's when everybody who waited was cancelled."""
    if not refill.cancelled():
        refill.exception()
