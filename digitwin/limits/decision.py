"""Questions to the limiter and its answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID


class Decision(NamedTuple):
    """Whether a call is allowed; truthy if it is. Durations are seconds."""

    allowed: bool
    """Whether the bucket held the tokens; ``consume`` has then taken them."""
    limit: int
    """Tokens of a full bucket."""
    remaining: int
    """Whole tokens left."""
    retry_after: float
    """Until the same call is allowed, if no other call takes a token; 0 if it is allowed now."""
    reset_after: float
    """Until the bucket is full, if no call takes a token."""
    degraded: bool = False
    """Decided without the database, which did not answer within ``decision_timeout``. The
    numbers then say nothing about the bucket."""

    def __bool__(self) -> bool:
        return self.allowed


@dataclass(frozen=True, slots=True)
class Ask:
    """One of several calls that are allowed or refused together; fields as in ``consume``."""

    subject: UUID | str = field(repr=False)
    endpoint: str
    limit: int
    window: float | timedelta
    cost: int = 1


@dataclass(frozen=True, slots=True)
class JointDecision:
    """Whether several calls are allowed together; truthy if they are.

    Each decision is about its own bucket: ``allowed`` says whether that held the tokens. Tokens
    were taken only if all buckets held theirs.
    """

    asks: tuple[Ask, ...]
    """The asks; empty if nothing limits the call."""
    decisions: tuple[Decision, ...]
    """The decision on each ask, in their order."""

    @property
    def allowed(self) -> bool:
        """Whether every bucket held its tokens; all have then been taken, else none."""
        return all(self.decisions)

    @property
    def refused(self) -> tuple[Ask, ...]:
        """The asks whose bucket did not hold the tokens."""
        each = zip(self.asks, self.decisions, strict=True)
        return tuple(ask for ask, decision in each if not decision)

    @property
    def retry_after(self) -> float:
        """Until all are allowed, if no other call takes a token; 0 if they are allowed now."""
        return max((decision.retry_after for decision in self.decisions), default=0.0)

    @property
    def remaining(self) -> int | None:
        """Whole tokens left in the bucket with the fewest; None if nothing limits the call."""
        return min((decision.remaining for decision in self.decisions), default=None)

    @property
    def degraded(self) -> bool:
        """Whether any decision was made without the database."""
        return any(decision.degraded for decision in self.decisions)

    def __bool__(self) -> bool:
        return self.allowed

    def __iter__(self) -> Iterator[Decision]:
        return iter(self.decisions)

    def __len__(self) -> int:
        return len(self.decisions)

    def __getitem__(self, index: int) -> Decision:
        return self.decisions[index]


@dataclass(frozen=True, slots=True)
class EndpointUsage:
    """How often calls to an endpoint were allowed and denied within an hour."""

    endpoint: str
    hour: datetime
    """The beginning of the hour, in UTC."""
    allowed: int
    denied: int
