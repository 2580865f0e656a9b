"""Sessions that ended long ago, of people of every tier."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin.conversations.retention.archive import SessionExport
from digitwin.conversations.retention.sweep import SessionRetention
from digitwin.database import Database
from digitwin.kernel.execution.core import Core
from digitwin.models import ConversationTurn
from digitwin.testing import DatabaseFactory

DAY = 86_400

Aged = Callable[..., Awaitable[UUID]]
"""Makes a session of a user that ended so many days ago, with a turn; returns its id."""


@pytest.fixture
def aged(digitwin_db: Database, raw: asyncpg.Connection) -> Aged:
    async def make(owner: UUID, days: float, **fields: Any) -> UUID:
        session = await digitwin_db.sessions.start(owner, **fields)
        await digitwin_db.sessions.add_turn(session.id, user_text="Hi", twin_text="Hello")
        await digitwin_db.sessions.end(session.id)
        await raw.execute(
            "UPDATE conversation_sessions SET started_at = now() - make_interval(days => 1000),"
            " ended_at = now() - make_interval(secs => $2) WHERE id = $1",
            session.id,
            days * DAY,
        )
        return session.id

    return make


@pytest.fixture
def keeping(digitwin_url: str, digitwin_db_factory: DatabaseFactory) -> Any:
    """Open a handle with these settings."""

    async def make(retention: Any, **settings: Any) -> Database:
        return await digitwin_db_factory(digitwin_url, session_retention=retention, **settings)

    return make


async def plain_lines(db: Database, session_id: UUID) -> AsyncGenerator[str, None]:
    """The texts of a session, a line for each turn."""
    async with db.transaction():
        for turn in await ConversationTurn.filter(session_id=session_id):
            yield f"{turn.position} {turn.user_text} {turn.twin_text}"


def with_export(db: Database, export: SessionExport) -> SessionRetention:
    """The retention of a handle, with another export."""

    def export_in(core: Core) -> SessionExport:
        return export

    return SessionRetention(db._core, db.cache, db.privacy.artifacts, export_in)
