"""Every row of a deleted session shows on no path of the models."""

from __future__ import annotations

from typing import Any

import pytest

from digitwin.database import Database
from digitwin.errors import NotFoundError
from digitwin.models import (
    ConversationSession,
    ConversationTurn,
    SessionArtifact,
    TurnItem,
    TurnSource,
    UsageRecord,
)
from tests.integration.conversations.deletion.conftest import Talk

CONTENTS = {
    "turns": ConversationTurn,
    "items": TurnItem,
    "usage_records": UsageRecord,
    "sources": TurnSource,
    "artifacts": SessionArtifact,
}


@pytest.mark.parametrize("relation", CONTENTS)
async def test_it_goes_and_comes_back_with_its_session(
    digitwin_db: Database, gone: Talk, kept: Talk, relation: str
) -> None:
    model: Any = CONTENTS[relation]
    row = await model.get(session_id=gone.session)
    session: Any = await ConversationSession.get(id=gone.session)
    all_sessions: Any = ConversationSession.all_objects

    async def seen() -> list[Any]:
        return [
            await model.all().count(),
            await model.filter(session_id=gone.session).exists(),
            await model.get_or_none(id=row.id) is not None,
            len(await getattr(session, relation)),
            await row.session is not None,
            len(await all_sessions.filter(**{f"{relation}__id": row.id})),
            len(await model.filter(session__external_id="gone")),
        ]

    assert await seen() == [2, True, True, 1, True, 1, 1]
    await digitwin_db.sessions.delete(gone.session)
    assert await seen() == [1, False, False, 0, False, 0, 0]
    with pytest.raises(NotFoundError):
        await row.refresh_from_db()
    await digitwin_db.sessions.restore(gone.session)
    assert await seen() == [2, True, True, 1, True, 1, 1]
