"""A turn of Ada's that is open."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.models import ConversationSession, ConversationTurn


@pytest.fixture
async def turn(sessions: Sessions, session: ConversationSession) -> ConversationTurn:
    return await sessions.open_turn(session.id)


@pytest.fixture
def place(turn: ConversationTurn) -> dict[str, Any]:
    """The arguments that name the turn."""
    return {"turn_id": turn.id, "session_id": turn.session_id}


async def stored(sessions: Sessions, turn: ConversationTurn) -> ConversationTurn:
    """The turn as a list of turns has it."""
    loaded = await sessions.with_turns(turn.session_id)
    [found] = [one for one in loaded.turns if one.id == turn.id]
    return found


async def age(raw: asyncpg.Connection, table: str, *columns: str, by: str = "1 day") -> None:
    """Move times of a table's rows into the past."""
    sets = ", ".join(f"{column} = {column} - interval '{by}'" for column in columns)
    await raw.execute(f"UPDATE {table} SET {sets}")
