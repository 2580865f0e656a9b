"""The statements of queries.sql with their columns filled in, once for each shape."""

from __future__ import annotations

from functools import cache

from digitwin.conversations.models import ConversationSession, ConversationTurn
from digitwin.conversations.statistics import MEASURES
from digitwin.kernel.sql.audit_step import numbered as insert
from digitwin.kernel.sql.columns import columns, nulls
from digitwin.kernel.sql.queries import load

queries = load(__package__)

KNOWN = "$1::uuid"
LOOKED_UP = "coalesce($1::uuid, (SELECT user_id FROM conversation_sessions WHERE id = $2 LIMIT 1))"


@cache
def statement(name: str, *, owner_known: bool) -> str:
    """A named query; without a known owner it finds the session's by its id, in the same trip."""
    filled: str = queries[name]
    for mark, text in (
        ("{session}", columns(ConversationSession)),
        ("{turn}", columns(ConversationTurn)),
        ("{no_session}", nulls(ConversationSession)),
        ("{no_turn}", nulls(ConversationTurn)),
        ("{stages}", MEASURES),
        ("{started}", insert(ConversationSession, "start", 12)),
        ("{ended}", insert(ConversationSession, "end", 4)),
        ("{owner}", KNOWN if owner_known else LOOKED_UP),
    ):
        filled = filled.replace(mark, text)
    return filled
