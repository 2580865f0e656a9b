"""What the limiter answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import floor


@dataclass(frozen=True, slots=True)
class Decision:
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

    def __bool__(self) -> bool:
        return self.allowed

    @classmethod
    def of(cls, tokens: float, allowed: bool, *, limit: int, window: float, cost: int) -> Decision:
        """What a bucket of ``tokens`` means for a call of ``cost``."""
        second = window / limit
        return cls(
            allowed=allowed,
            limit=limit,
            remaining=floor(tokens),
            retry_after=0.0 if allowed else _round_up((cost - tokens) * second),
            reset_after=(limit - tokens) * second,
        )


def _round_up(seconds: float) -> float:
    """To the next millisecond: whoever waits that long finds the token in spite of rounding."""
    return (floor(seconds * 1000) + 1) / 1000


@dataclass(frozen=True, slots=True)
class EndpointUsage:
    """How often an endpoint was allowed and denied within an hour."""

    endpoint: str
    hour: datetime
    """When the hour begins, in UTC."""
    allowed: int
    denied: int
