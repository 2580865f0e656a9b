"""Totals of what requests to providers cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, Self
from uuid import UUID

from digitwin.conversations.content.fields import (
    INPUT_BUCKETS,
    OUTPUT_BUCKETS,
    USAGE_FIGURES,
    UsageKind,
)


def sums(prefix: str = "") -> str:
    """Return the columns that a statement computes of usage records, named ``record``."""
    totals = (
        f"coalesce(sum(record.{name}), 0)::bigint AS {prefix}{name}" for name in USAGE_FIGURES
    )
    return ", ".join((f"count(record.id) AS {prefix}records", *totals))


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSums:
    """Sums over usage records; what was unknown counts as 0.

    The token counts do not overlap, so that each can have a price of its own.
    """

    records: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    audio_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    audio_output_tokens: int = 0
    characters: int = 0
    audio_ms: int = 0

    @property
    def total_input_tokens(self) -> int:
        """All tokens that were read: the sum of the input buckets, cached and audio included."""
        return sum(getattr(self, name) for name in INPUT_BUCKETS)

    @property
    def total_output_tokens(self) -> int:
        """All tokens that were written: the sum of the output buckets, reasoning included."""
        return sum(getattr(self, name) for name in OUTPUT_BUCKETS)

    @classmethod
    def from_record(cls, record: Mapping[str, Any], prefix: str = "") -> Self:
        """Return the sums in a record that has a column for each of them."""
        given = set(record.keys())
        columns = {f.name: f"{prefix}{f.name}" for f in fields(cls)}
        return cls(**{name: record[column] for name, column in columns.items() if column in given})


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals(UsageSums):
    """The sums of one group of usage records.

    A key that was not asked for is None; so is one that the records do not have, such as the
    model of records without one.
    """

    user_id: UUID | None = None
    session_id: UUID | None = None
    participant_id: UUID | None = None
    kind: UsageKind | None = None
    provider: str | None = None
    model: str | None = None
    day: date | None = None
