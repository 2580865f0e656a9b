"""What is inside Ada's conversations."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, ConversationTurn, KnowledgeDocument, User
from tests.integration.conversations import conftest as of_sessions

sessions, session, crowd = of_sessions.sessions, of_sessions.session, of_sessions.crowd

Put = Callable[..., Awaitable[UUID]]


@pytest.fixture
async def turn(sessions: Sessions, session: ConversationSession) -> ConversationTurn:
    return await sessions.add_turn(session.id, user_text="When?", twin_text="At nine.")


@pytest.fixture
async def document(digitwin_db: Database, ada: User) -> KnowledgeDocument:
    return await digitwin_db.documents.create(
        user_id=ada.id, title="Handbook", content="We open at nine.", visibility="visitors"
    )


@pytest.fixture
def put_item(raw: asyncpg.Connection, session: ConversationSession) -> Put:
    """Store an item of the session."""

    async def put(
        kind: str = "message", payload: Any = None, turn: ConversationTurn | None = None
    ) -> UUID:
        id = uuid7()
        await raw.execute(
            "WITH s AS (UPDATE conversation_sessions SET item_count = item_count + 1 WHERE id = $1"
            " RETURNING user_id, item_count) INSERT INTO turn_items (user_id, session_id, number,"
            " id, turn_id, kind, payload) SELECT user_id, $1, item_count, $2, $3, $4, $5 FROM s",
            session.id,
            id,
            turn and turn.id,
            kind,
            json.dumps(payload or {}),
        )
        return id

    return put


@pytest.fixture
def cite(raw: asyncpg.Connection) -> Put:
    """Store a source of a turn."""

    async def put(
        turn: ConversationTurn,
        document: KnowledgeDocument,
        quote: str | None = "at nine",
        passage: str | None = "p. 3",
        score: float | None = 0.5,
    ) -> UUID:
        id = uuid7()
        await raw.execute(
            "INSERT INTO turn_sources (user_id, session_id, turn_id, id, document_id, passage,"
            " score, quote) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            turn.user_id,
            turn.session_id,
            turn.id,
            id,
            document.id,
            passage,
            score,
            quote,
        )
        return id

    return put
