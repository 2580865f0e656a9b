"""Conversations that are searched, and how: before they are in the index, and after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.conversations.search.hits import TurnHit
from digitwin.conversations.search.indexing import index_turns
from digitwin.database import Database
from digitwin.models import ConversationSession, User

Tell = Callable[..., Awaitable[ConversationSession]]
Find = Callable[..., Awaitable[list[TurnHit]]]


@pytest.fixture
def tell(sessions: Sessions, ada: User) -> Tell:
    """Store a session that has ended, of these texts of the participant."""

    async def told(*texts: str, owner: User = ada, **start: Any) -> ConversationSession:
        session = await sessions.start(owner.id, **start)
        await sessions.add_turns(session.id, [{"user_text": text} for text in texts])
        return await sessions.end(session.id)

    return told


@pytest.fixture(params=["as it is", "indexed"])
def find(request: Any, digitwin_db: Database, ada: User) -> Find:
    """Search Ada's conversations; what is found must not depend on the index."""

    async def found(query: str, **options: Any) -> list[TurnHit]:
        if request.param == "indexed":
            await index_turns(digitwin_db._core)
        return await digitwin_db.for_user(ada.id).sessions.search(query, **options)

    return found


def places(hits: Sequence[TurnHit]) -> list[int]:
    return [hit.position for hit in hits]
