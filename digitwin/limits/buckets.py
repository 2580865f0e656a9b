"""The buckets themselves: one row each, every decision one statement by the database's clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor
from typing import Any, Final
from uuid import UUID

from digitwin.errors import AlreadyExistsError, NotFoundError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.sql.queries import load
from digitwin.limits.decision import Decision
from digitwin.limits.fields import Bucket, Call

BATCH: Final = 1000
"""Rows looked at by one statement of ``purge``: some 10 ms, after which every lock is free."""

_SQL = load(__package__)
CONSUME = _SQL["consume"].format(held=_SQL["held"])
_OF_ALL = _SQL["consume_all"].format(who=_SQL["whoever"])
_OF_TIER = _SQL["consume_all"].format(who=_SQL["of_tier"])


@dataclass(frozen=True, slots=True)
class Taking:
    """What one bucket of several held, and what was taken of it."""

    place: int
    """Which of the calls it answers."""
    taken: int
    tokens: float
    """Left in the bucket."""
    there: bool
    """Whether the call's cost was there."""
    behind: float
    """Seconds until the bucket begins to refill."""

    def decision(self, call: Call) -> Decision:
        return decision(call, self.tokens, self.there, self.behind)


def decision(call: Call, tokens: float, allowed: bool, behind: float = 0.0) -> Decision:
    """What a bucket of ``tokens`` means for a call.

    Args:
        behind: seconds until the bucket begins to refill: it is in debt.
    """
    limit = call.limit
    second = call.window / limit
    retry_after = 0.0 if allowed else _round_up(behind + (call.cost - tokens) * second)
    return Decision(allowed, limit, floor(tokens), retry_after, behind + (limit - tokens) * second)


def _round_up(seconds: float) -> float:
    """To the next millisecond: whoever waits that long finds the token in spite of rounding."""
    return (floor(seconds * 1000) + 1) / 1000


class Buckets:
    """Every statement commits by itself, within a transaction too."""

    def __init__(self, core: Core) -> None:
        self._aside = core.aside

    async def consume(self, call: Call) -> Decision:
        """Take the cost, or nothing."""
        row: Any = await self._aside.fetchrow(CONSUME, *call.bucket, call.limit, call.cost)
        return decision(call, *row)

    async def peek(self, call: Call) -> Decision:
        """What :meth:`consume` would find."""
        row = await self._aside.fetchrow(_SQL["peek"], *call.bucket, call.limit)
        held, behind = (call.limit, 0.0) if row is None else row
        return decision(call, held, held >= call.cost, behind)

    async def take(self, call: Call, most: int) -> Taking:
        """Take as many whole tokens as there are, between the cost and ``most``, or nothing."""
        [taking] = await self._take(_OF_ALL, [call], [most], [""])
        return taking

    async def take_all(self, calls: Sequence[Call]) -> list[Taking]:
        """Take every call's cost, or nothing of any."""
        costs = [call.cost for call in calls]
        return await self._take(_OF_ALL, calls, costs, [""] * len(calls))

    async def take_by_tier(
        self, calls: Sequence[Call], tiers: Sequence[str], person: UUID
    ) -> list[Taking]:
        """As :meth:`take_all`, those calls whose tier is the person's, else those of none.

        Raises:
            NotFoundError: there is no such person.
        """
        costs = [call.cost for call in calls]
        named = sorted(set(tiers) - {""})
        return await self._take(_OF_TIER, calls, costs, tiers, named, person)

    async def _take(
        self, sql: str, calls: Sequence[Call], most: Sequence[int], tiers: Sequence[str], *who: Any
    ) -> list[Taking]:
        asked = zip(calls, most, tiers, strict=True)
        arguments = columns((*c.bucket, c.limit, c.cost, most, tier) for c, most, tier in asked)
        while True:
            try:
                rows = await self._aside.fetch(sql, *arguments, *who)
            except AlreadyExistsError:
                continue  # somebody made one of the buckets meanwhile: now it is there
            if not rows:
                raise NotFoundError("user not found", field="user_id", user_id=str(who[-1]))
            return [_taking(row) for row in rows if row["place"] is not None]

    async def settle(self, changes: Iterable[tuple[Call, float]]) -> list[Any]:
        """Give back, or take where the number is negative; the one bucket's row for one change."""
        given = columns((*call.bucket, call.limit, change) for call, change in changes)
        return await self._aside.fetch(_SQL["settle"], *given)

    async def reset(self, subject: str, endpoint: str | None, window_ms: int | None) -> int:
        """Fill buckets again; how many there were."""
        removed: int = await self._aside.fetchval(_SQL["reset"], subject, endpoint, window_ms)
        return removed

    async def purge(self, age: float) -> int:
        """Remove those unused for so many seconds and full again; how many there were."""
        removed = 0
        last: Bucket | None = Bucket("", "", 0)
        while last is not None:
            row = await self._aside.fetchrow(_SQL["purge_batch"], *last, BATCH, age)
            last = None if row is None else Bucket(*row[:3])
            removed += 0 if row is None else row["gone"]
        return removed


def _taking(row: Any) -> Taking:
    return Taking(row["place"] - 1, int(row["take"]), row["tokens"], row["allowed"], row["behind"])


def columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    """Rows as ``unnest`` takes them."""
    return [list(column) for column in zip(*rows, strict=True)]
