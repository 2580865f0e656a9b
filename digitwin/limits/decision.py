"""What the limiter is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID


class Decision(NamedTuple):
    """Whether a call may go on; itself true when it may. Durations are seconds."""

    allowed: bool
    """Whether the tokens were there; ``consume`` has then taken them."""
    limit: int
    """Tokens of a full bucket."""
    remaining: int
    """Whole tokens left."""
    retry_after: float
    """Until the same call is allowed, if nobody else takes a token; 0 when it is allowed now."""
    reset_after: float
    """Until the bucket is full, if nobody takes a token."""
    degraded: bool = False
    """Decided without the database, which did not answer: see ``decision_timeout``. The
    numbers then say nothing about the bucket."""

    def __bool__(self) -> bool:
        return self.allowed


@dataclass(frozen=True, slots=True)
class Ask:
    """One of several calls that pass or fail as one; fields as those of ``consume``."""

    subject: UUID | str
    endpoint: str
    limit: int
    window: float | timedelta
    cost: int = 1


@dataclass(frozen=True, slots=True)
class JointDecision:
    """Whether several calls may go on together; itself true when they may.

    Each decision speaks of its own bucket: ``allowed`` says whether its tokens were there.
    They were taken only if all were.
    """

    asks: tuple[Ask, ...]
    """What was asked; empty when nothing limits the call."""
    decisions: tuple[Decision, ...]
    """What each ask was answered, in their order."""

    @property
    def allowed(self) -> bool:
        """Whether all tokens were there; all have then been taken, else none."""
        return all(self.decisions)

    @property
    def refused(self) -> tuple[Ask, ...]:
        """The asks whose tokens were not there."""
        each = zip(self.asks, self.decisions, strict=True)
        return tuple(ask for ask, decision in each if not decision)

    @property
    def retry_after(self) -> float:
        """Until all are allowed, if nobody else takes a token; 0 when they are allowed now."""
        return max((decision.retry_after for decision in self.decisions), default=0.0)

    @property
    def remaining(self) -> int | None:
        """Whole tokens left in the bucket that holds fewest; None when nothing limits the call."""
        return min((decision.remaining for decision in self.decisions), default=None)

    @property
    def degraded(self) -> bool:
        """Decided without the database."""
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
    """How often an endpoint was allowed and denied within an hour."""

    endpoint: str
    hour: datetime
    """When the hour begins, in UTC."""
    allowed: int
    denied: int
