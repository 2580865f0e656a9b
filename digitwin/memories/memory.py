"""What the repository of memories returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Memory:
    """Something that is remembered of a person.

    ``updated_at`` is when it was last put, ``expires_at`` when it ends by itself, None if never.
    """

    namespace: tuple[str, ...] = field(repr=False)
    key: str = field(repr=False)
    value: dict[str, Any] = field(repr=False)
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MemoryHit:
    """A memory that a search found.

    ``score`` is above 0, higher is better; None without a query, and for a memory that has none of
    its words. Scores of different searches are not comparable.
    """

    memory: Memory
    score: float | None = None
