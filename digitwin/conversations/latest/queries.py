"""The named queries of the newest items."""

from __future__ import annotations

from functools import cache
from typing import Final

from digitwin.conversations.fields import MAX_TEXT
from digitwin.conversations.queries import KNOWN_OWNER, OWNER
from digitwin.kernel.sql.queries import Queries, Query

QUERIES: Final = Queries(__package__, table="turn_items", max_text=str(MAX_TEXT))


@cache
def query(name: str, *, known_owner: bool, has_own: bool) -> Query:
    """Return a statement about the newest items of a session.

    Args:
        known_owner: the caller knows the session's owner.
        has_own: some turns are the caller's own, and come last.
    """
    limit = "1" if name == "pop_item" else ":limit::int"
    return QUERIES.variant(
        name,
        owner=KNOWN_OWNER if known_owner else OWNER,
        newest=_newest(limit, has_own=has_own),
        cut_user=QUERIES.text("cut", text="user_text"),
        cut_twin=QUERIES.text("cut", text="twin_text"),
    )


def _newest(limit: str, *, has_own: bool) -> str:
    if not has_own:
        return QUERIES.text("of_all", turns=QUERIES.text("all_turns"), limit=limit)
    of_own = QUERIES.text("of_own", turns=QUERIES.text("own_turns"), limit=limit)
    of_others = QUERIES.text("of_others", turns=QUERIES.text("other_turns"), limit=limit)
    return QUERIES.text("newest", of_own=of_own, of_others=of_others, limit=limit)
