"""The domain's named queries."""

from __future__ import annotations

from uuid import UUID

from digitwin.conversations.statistics import STAGE_AGGREGATES
from digitwin.kernel.sql.queries import Queries, Query

QUERIES = Queries(__package__, table="conversation_sessions", stages=STAGE_AGGREGATES)


def for_session(name: str, user_id: UUID | None) -> Query:
    """Return a query on one session, in the variant for a known or an unknown owner.

    A single statement with ``:user_id IS NULL OR …`` would have no good generic plan.
    """
    return QUERIES[name] if user_id is None else QUERIES.variant(name, owner=":user_id::uuid")
