"""The domain's named queries."""

from __future__ import annotations

from uuid import UUID

from digitwin.conversations.statistics import STAGE_AGGREGATES, USAGE_AGGREGATES
from digitwin.kernel.sql.queries import Queries, Query, load

MAX_EXTRA_SIZE = 16_384
"""Bytes of a turn's ``extra`` from which on nothing is added to it."""

QUERIES = Queries(
    __package__,
    table="conversation_sessions",
    stages=STAGE_AGGREGATES,
    usage=USAGE_AGGREGATES,
    max_extra=str(MAX_EXTRA_SIZE),
)

ACCEPTING = load(__package__)["accepting"]
"""Whether a session takes turns."""
OWNER = load(__package__)["owner"]
"""The owner of a session, where the caller does not know it."""
KNOWN_OWNER = ":user_id::uuid"
"""The same, where the caller does."""


def for_session(name: str, user_id: UUID | None) -> Query:
    """Return a query on one session, in the variant for a known or an unknown owner.

    A single statement with ``:user_id IS NULL OR …`` would have no good generic plan.
    """
    return QUERIES[name] if user_id is None else QUERIES.variant(name, owner=KNOWN_OWNER)
