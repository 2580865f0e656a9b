"""A session with its turns, and the turns with what is inside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from digitwin.conversations.citation import Citation
from digitwin.conversations.content.queries import for_session
from digitwin.conversations.contents import TurnItem
from digitwin.conversations.models import ConversationSession, ConversationTurn
from digitwin.kernel.execution.core import Core
from digitwin.kernel.orm.hydration import compact_hydrator, fill, hydrate
from digitwin.kernel.sql.columns import compact_fields

_OF_TURNS = " AND turn_id = ANY(ARRAY(SELECT id FROM turn))"


async def session_with_contents(
    core: Core, key: Mapping[str, Any], limit: int | None
) -> ConversationSession | None:
    """Return a session whose turns, items and sources are loaded from one snapshot.

    Args:
        limit: only this many of the newest turns, and what is inside them.
    """
    of_turns = "" if limit is None else _OF_TURNS
    query = for_session("with_contents", key["user_id"], of_turns=of_turns)
    records = await core.db.fetch(query, **key, limit=limit)
    if not records:
        return None
    session = hydrate(ConversationSession, records[0], core.origin)
    first = len(ConversationSession._meta.fields_db_projection)
    beyond = first + len(compact_fields(ConversationTurn))
    # An id tells which kind of row it is
    in_turn, in_item = _id_at(ConversationTurn, first), _id_at(TurnItem, beyond)
    of = compact_hydrator(ConversationTurn, first)
    turns = of([record for record in records if record[in_turn] is not None], session)[::-1]
    items = compact_hydrator(TurnItem, beyond)(
        [record for record in records if record[in_item] is not None], session
    )
    sources = [Citation.from_record(r) for r in records if r["source_id"] is not None]
    _share(turns, "_items", items)
    _share(turns, "_sources", sources)
    fill(session.items, items)
    fill(session.turns, turns)
    return session


def _id_at(model: type[Any], first: int) -> int:
    return first + compact_fields(model).index("id")


def _share(turns: Iterable[ConversationTurn], name: str, rows: Iterable[Any]) -> None:
    """Give each turn its rows."""
    of_turn: dict[UUID | None, list[Any]] = defaultdict(list)
    for row in rows:
        of_turn[row.turn_id].append(row)
    for turn in turns:
        turn.__dict__[name] = of_turn[turn.id]
