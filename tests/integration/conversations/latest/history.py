"""Messages of a history, and what is left of it."""

from __future__ import annotations

from typing import Any

from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.models import ConversationSession


def item(name: str, role: str = "", content: Any = None) -> Any:
    """Return a new item; with a role, a message."""
    if not role:
        return {"kind": "custom", "item_id": name}
    payload = {"openai": {"role": role, "content": content}}
    return {"kind": "message", "item_id": name, "payload": payload}


async def names(sessions: Sessions, session: ConversationSession, **more: Any) -> list[Any]:
    """Return the names of the newest items."""
    return [row.item_id for row in await sessions.latest_items(session.id, **more)]


async def turns(sessions: Sessions, session: ConversationSession) -> list[tuple[Any, ...]]:
    """Return position, status and texts of each turn."""
    found = await sessions.with_turns(session.id)
    assert found.turn_count == max((turn.position for turn in found.turns), default=0)
    return [(t.position, t.status, t.user_text, t.twin_text) for t in found.turns]
