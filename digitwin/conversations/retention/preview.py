"""What the retention of sessions would remove."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class TierPreview:
    """What would be removed of the people of one tier.

    ``retention_seconds`` is None if their sessions are kept for ever. ``bytes`` is the size of
    the rows as stored, without indexes; ``oldest`` is when the first of the sessions ended.
    """

    retention_seconds: float | None
    sessions: int = 0
    turns: int = 0
    bytes: int = 0
    oldest: datetime | None = None

    def plus(self, record: Mapping[str, Any]) -> TierPreview:
        """Return the sum with what further people have."""
        ends = [end for end in (self.oldest, record["oldest"]) if end is not None]
        return replace(
            self,
            sessions=self.sessions + record["sessions"],
            turns=self.turns + record["turns"],
            bytes=self.bytes + record["bytes"],
            oldest=min(ends),
        )


@dataclass(frozen=True, slots=True)
class RetentionPreview:
    """What the retention of sessions would remove now, in all and by subscription tier."""

    sessions: int
    turns: int
    bytes: int
    tiers: Mapping[str, TierPreview]

    @classmethod
    def of(cls, tiers: Mapping[str, TierPreview]) -> RetentionPreview:
        """Add up the tiers."""

        def total(counts: Iterable[int]) -> int:
            return sum(counts)

        parts = tiers.values()
        return cls(
            total(part.sessions for part in parts),
            total(part.turns for part in parts),
            total(part.bytes for part in parts),
            tiers,
        )
