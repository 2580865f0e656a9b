"""The named queries of items, usage and sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from digitwin.conversations.content.fields import UsageGroup
from digitwin.conversations.content.totals import sums
from digitwin.kernel.sql.queries import Queries, Query

QUERIES = Queries(__package__, table="conversation_sessions", sums=sums())


def for_session(name: str, user_id: UUID | None, **fills: str) -> Query:
    """Return a query on one session or turn, for a known or an unknown owner."""
    if user_id is not None:
        fills |= dict.fromkeys(("owner", "turn_owner"), ":user_id::uuid")
    return QUERIES.variant(name, **fills)


_GROUPS: Final[Mapping[UsageGroup, str]] = {
    "user_id": "record.user_id",
    "session_id": "record.session_id",
    "participant_id": "session.participant_id",
    "kind": "record.kind",
    "provider": "record.provider",
    "model": "record.model",
    "day": "(record.used_at AT TIME ZONE :time_zone::text)::date",
}
_CONDITIONS: Final[Mapping[str, str]] = {
    "user_id": "record.user_id = :user_id",
    "session_id": "record.session_id = :session_id",
    "participant_id": "session.participant_id = :participant_id",
    "since": "record.used_at >= :since",
    "until": "record.used_at < :until",
}


def totals_query(by: Sequence[UsageGroup], given: Sequence[str]) -> Query:
    """Return the query for totals grouped in this way, with the conditions that are given."""
    numbers = ", ".join(str(n) for n in range(1, len(by) + 1))
    return QUERIES.variant(
        "usage_totals",
        keys="".join(f"{_GROUPS[name]} AS {name}, " for name in by),
        conditions="".join(f" AND {_CONDITIONS[name]}" for name in given),
        groups=numbers or "()",
        order=f"ORDER BY {numbers} " if by else "",
    )
