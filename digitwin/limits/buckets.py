"""Token buckets: one row each; every decision is one statement, by the database clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Any, Final
from uuid import UUID

from digitwin.errors import AlreadyExistsError, NotFoundError
from digitwin.kernel.execution.batching import Batcher
from digitwin.kernel.execution.core import Core
from digitwin.kernel.sql.queries import Queries, Query, load
from digitwin.limits.decision import Decision
from digitwin.limits.fields import Bucket, LimitCall

BATCH: Final = 1000
"""Rows read by one statement of ``purge``: it takes some 10 ms, then releases its locks."""

AT_ONCE: Final = 4
"""Decisions that a process sends one by one; further ones are gathered meanwhile."""
MOST: Final = 100
"""Decisions in one statement, which takes some 2 ms."""

QUERIES = Queries(__package__)
_CONSUME = QUERIES["consume"]
_OF_ONE_BUCKET = QUERIES.variant("consume_many", locked="")
_OF_BUCKETS = QUERIES.variant("consume_many", locked="SKIP LOCKED")
_OF_ALL = QUERIES.variant("consume_all", who=load(__package__)["every_ask"])
_OF_TIER = QUERIES.variant("consume_all", who=load(__package__)["of_tier"])


@dataclass(frozen=True, slots=True)
class TakeResult:
    """What one bucket held, and what was taken from it."""

    index: int
    """The index of its call among those asked."""
    taken: int
    tokens: float
    """Tokens left."""
    sufficient: bool
    """Whether the bucket held the call's cost."""
    behind: float
    """Seconds until the bucket begins to refill; more than 0 if it is in debt."""

    def decision(self, call: LimitCall) -> Decision:
        return decision(call, self.tokens, self.sufficient, self.behind)


def decision(call: LimitCall, tokens: float, allowed: bool, behind: float = 0.0) -> Decision:
    """Return the decision on a call to a bucket that holds ``tokens``.

    Args:
        behind: seconds until the bucket begins to refill; more than 0 if it is in debt.
    """
    limit = call.limit
    second = call.window / limit
    retry_after = 0.0 if allowed else _round_up(behind + (call.cost - tokens) * second)
    return Decision(allowed, limit, floor(tokens), retry_after, behind + (limit - tokens) * second)


def _round_up(seconds: float) -> float:
    """Round up to the next millisecond, so that a caller that waits finds the token."""
    return (floor(seconds * 1000) + 1) / 1000


class Buckets:
    """The buckets' statements. Each commits by itself, inside a transaction too."""

    def __init__(self, core: Core) -> None:
        self._aside = core.aside
        self._batcher: Batcher[LimitCall, Decision] = Batcher(
            self._consume, self._consume_many, at_once=AT_ONCE, most=MOST
        )
        self.consume = self._batcher.ask
        """Take a call's cost, or nothing; return the decision."""

    async def stop(self) -> None:
        """Cancel shared statements that are still under way, and wait until they have ended."""
        await self._batcher.stop()

    async def _consume(self, call: LimitCall) -> Decision:
        subject, endpoint, window_ms = call.bucket
        # Named one by one: unpacking a dict costs 2 us of each call
        row: Any = await self._aside.fetchrow(
            _CONSUME,
            subject=subject,
            endpoint=endpoint,
            window_ms=window_ms,
            limit=call.limit,
            cost=call.cost,
        )
        return decision(call, *row)

    async def _consume_many(self, calls: Sequence[LimitCall]) -> list[Decision | None]:
        """Return the decision on each call; None where it is to be decided alone.

        Calls to one bucket are decided in their order. Those that differ from its first one, in
        limit or cost, are decided alone, and so are those that come after them.
        """
        decisions: list[Decision | None] = [None] * len(calls)
        groups = list(_same_calls(calls).values())
        rows = await self._aside.fetch(
            _OF_ONE_BUCKET if len(groups) == 1 else _OF_BUCKETS,
            **_columns([group[0][1] for group in groups]),
            costs=[group[0][1].cost for group in groups],
            calls=[len(group) for group in groups],
        )
        for place, passed, tokens, behind in rows:
            group = groups[place - 1]
            for n, (index, call) in enumerate(group, start=1):
                if n <= passed:
                    left = tokens + (passed - n) * call.cost
                    decisions[index] = decision(call, left, True, behind)
                else:
                    decisions[index] = decision(call, tokens, False, behind)
        return decisions

    async def peek(self, call: LimitCall) -> Decision:
        """Return what :meth:`consume` would return, without taking anything."""
        row = await self._aside.fetchrow(QUERIES["peek"], **call.bucket._asdict(), limit=call.limit)
        held, behind = (call.limit, 0.0) if row is None else row
        return decision(call, held, held >= call.cost, behind)

    async def take(self, call: LimitCall, most: int) -> TakeResult:
        """Take between the cost and ``most`` whole tokens, as many as there are, or nothing."""
        [result] = await self._take(_OF_ALL, [call], [most], [""])
        return result

    async def take_all(self, calls: Sequence[LimitCall]) -> list[TakeResult]:
        """Take the cost of every call, or nothing at all."""
        costs = [call.cost for call in calls]
        return await self._take(_OF_ALL, calls, costs, [""] * len(calls))

    async def take_by_tier(
        self, calls: Sequence[LimitCall], tiers: Sequence[str], person: UUID
    ) -> list[TakeResult]:
        """Take as :meth:`take_all` does, for the calls that apply to the person's tier.

        Args:
            tiers: each call's tier; calls with "" apply where no call names the person's tier.

        Raises:
            NotFoundError: the person does not exist.
        """
        costs = [call.cost for call in calls]
        named = sorted(set(tiers) - {""})
        return await self._take(_OF_TIER, calls, costs, tiers, named=named, user_id=person)

    async def _take(
        self,
        query: Query,
        calls: Sequence[LimitCall],
        most: Sequence[int],
        tiers: Sequence[str],
        **who: Any,
    ) -> list[TakeResult]:
        while True:
            try:
                rows = await self._aside.fetch(
                    query,
                    **_columns(calls),
                    costs=[call.cost for call in calls],
                    most=most,
                    tiers=tiers,
                    **who,
                )
            except AlreadyExistsError:
                continue  # another caller created one of the buckets meanwhile: now it exists
            if not rows:
                raise NotFoundError("user not found", field="user_id", user_id=str(who["user_id"]))
            return [_take_result(row) for row in rows if row["place"] is not None]

    async def settle(self, changes: Sequence[tuple[LimitCall, float]]) -> list[Any]:
        """Return tokens to buckets, or take them if negative; return each bucket's new state."""
        return await self._aside.fetch(
            QUERIES["settle"],
            **_columns([call for call, _ in changes]),
            changes=[change for _, change in changes],
        )

    async def reset(self, subject: str, endpoint: str | None, window_ms: int | None) -> int:
        """Delete buckets, which fills them; return how many existed."""
        removed: int = await self._aside.fetchval(
            QUERIES["reset"], subject=subject, endpoint=endpoint, window_ms=window_ms
        )
        return removed

    async def purge(self, age: float) -> int:
        """Delete buckets that are full and unused for ``age`` seconds; return how many."""
        removed = 0
        last: Bucket | None = Bucket("", "", 0)
        while last is not None:
            row = await self._aside.fetchrow(
                QUERIES["purge_batch"], **last._asdict(), batch=BATCH, age=age
            )
            last = None if row is None else Bucket(*row[:3])
            removed += 0 if row is None else row["gone"]
        return removed


def _same_calls(calls: Sequence[LimitCall]) -> dict[Bucket, list[tuple[int, LimitCall]]]:
    """Return the first equal calls to each bucket, with their indexes."""
    groups: dict[Bucket, list[tuple[int, LimitCall]]] = {}
    closed: set[Bucket] = set()
    for index, call in enumerate(calls):
        group = groups.setdefault(call.bucket, [])
        if call.bucket not in closed and (not group or group[0][1] == call):
            group.append((index, call))
        else:
            closed.add(call.bucket)
    return groups


def _take_result(row: Any) -> TakeResult:
    return TakeResult(
        row["place"] - 1, int(row["take"]), row["tokens"], row["allowed"], row["behind"]
    )


def _columns(calls: Sequence[LimitCall]) -> dict[str, list[Any]]:
    """Return the calls' buckets as array parameters for ``unnest``."""
    return {
        "subjects": [call.bucket.subject for call in calls],
        "endpoints": [call.bucket.endpoint for call in calls],
        "windows_ms": [call.bucket.window_ms for call in calls],
        "limits": [call.limit for call in calls],
    }
