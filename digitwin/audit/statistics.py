"""Counts of audit records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class AuditStatistics:
    """Records counted by action, result, person concerned, and day (UTC).

    Each mapping adds up to ``total``; records without a person count under the nil UUID.
    """

    total: int
    by_action: Mapping[str, int]
    by_result: Mapping[str, int]
    by_user: Mapping[UUID, int]
    by_day: Mapping[date, int]


_KINDS = {0b0111: "action", 0b1011: "result", 0b1101: "user_id", 0b1110: "day"}
"""By ``grouping(action, result, user_id, day)``, whose bit is 0 for the column counted by."""


def add_up(rows: Iterable[Mapping[str, Any]]) -> AuditStatistics:
    """Return the counts of the query ``statistics``, sorted by what they count."""
    counts: dict[str, dict[Any, int]] = {kind: {} for kind in _KINDS.values()}
    for row in rows:
        kind = _KINDS[row["kind"]]
        counts[kind][row[kind]] = row["count"]
    action, result, user, day = (dict(sorted(counts[kind].items())) for kind in _KINDS.values())
    return AuditStatistics(sum(result.values()), action, result, user, day)
