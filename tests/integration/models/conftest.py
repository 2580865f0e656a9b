"""People whose rows are met through the models alone."""

from __future__ import annotations

from typing import Any

import pytest

from digitwin.database import Database
from digitwin.models import (
    ConversationSession,
    ConversationTurn,
    FaceModel,
    KnowledgeDocument,
    User,
    VoiceModel,
)
from digitwin.testing import DatabaseFactory

OF_A_PERSON: list[Any] = [
    User,
    VoiceModel,
    FaceModel,
    ConversationSession,
    ConversationTurn,
    KnowledgeDocument,
]
"""The models that a repository alone creates."""


async def furnish(db: Database, name: str = "Ada") -> User:
    """Somebody with one of everything, each of which says whose it is."""
    user = await db.users.create(email=f"{name}@example.com", name=name)
    await db.consents.grant(user.id, purpose="voice", evidence="said so")
    voice = await db.voices.create(user_id=user.id, name=name, status="ready", is_active=True)
    await db.faces.create(user_id=user.id, name=name)
    await db.documents.create(user_id=user.id, title=name, content="From nine.")
    session = await db.sessions.start(user.id, external_id=name, voice_model_id=voice.id)
    await db.sessions.add_turn(session.id, user_text=name)
    return user


@pytest.fixture
async def ada(digitwin_db: Database) -> User:
    """Ada, with one of everything."""
    return await furnish(digitwin_db)


@pytest.fixture
async def other(digitwin_db_factory: DatabaseFactory) -> Database:
    """A second handle, on another database."""
    return await digitwin_db_factory()
