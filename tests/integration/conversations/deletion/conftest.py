"""A session of Ada's with something of everything in it, and another one."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

import pytest

from digitwin import Participant, session_tag
from digitwin.database import Database
from digitwin.models import User
from tests.support.contents import furnish_turn

CONTENTS = (
    "conversation_turns",
    "turn_items",
    "usage_records",
    "turn_sources",
    "session_artifacts",
)


class Talk(NamedTuple):
    """The ids of a session and of its turn."""

    session: UUID
    turn: UUID


async def talk(db: Database, owner: UUID, external_id: str) -> Talk:
    """A session with a turn and everything that a turn may have, and a cached answer of it."""
    guest = Participant(kind="guest", ref="web-1", name="Sam")
    session = await db.sessions.start(owner, participant=guest, external_id=external_id)
    turn = await db.sessions.add_turn(session.id, user_text=f"Said in {external_id}")
    await furnish_turn(db, turn.id)
    for user_id in (owner, None):
        await db.cache.responses.set(
            external_id, "answer", user_id=user_id, tags=[session_tag(session.id)]
        )
    return Talk(session.id, turn.id)


@pytest.fixture
async def gone(digitwin_db: Database, ada: User) -> Talk:
    """The session that a test deletes."""
    await digitwin_db.consents.grant(ada.id, purpose="recording", evidence="said so")
    return await talk(digitwin_db, ada.id, "gone")


@pytest.fixture
async def kept(digitwin_db: Database, ada: User, gone: Talk) -> Talk:
    """Another session of hers."""
    return await talk(digitwin_db, ada.id, "kept")
