"""Two people, each with something of every kind."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

import pytest

from digitwin import Participant
from digitwin.database import Database
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import User
from tests.support.contents import furnish_turn


class Belongings(NamedTuple):
    """The ids of what one person has."""

    user: UUID
    voice: UUID
    face: UUID
    session: UUID
    turn: UUID
    document: UUID
    artifact: UUID


async def settled(db: Database, name: str) -> Belongings:
    user = await db.users.create(email=f"{name}@example.com", name=name)
    await db._core.db.execute(
        "INSERT INTO consents (user_id, id, purpose, evidence) VALUES ($1, $2, 'recording', '{}')",
        user.id,
        uuid7(),
    )
    old = await db.voices.create(user_id=user.id, name="Old")
    await db.voices.delete(old.id)
    await db.voices.hard_delete(old.id)
    voice = await db.voices.create(user_id=user.id, name="Warm", status="ready")
    face = await db.faces.create(user_id=user.id, name="Calm", status="ready")
    guest = Participant(kind="guest", ref=f"{name}-guest", name="Sam")
    session = await db.sessions.start(user.id, participant=guest, external_id="first")
    turn = await db.sessions.add_turn(session.id, user_text=f"The secret of {name}")
    await furnish_turn(db, turn.id)
    (kept,) = (await db.sessions.artifacts(session.id)).items
    document = await db.documents.create(
        user_id=user.id, title="Hours", content=f"The secret of {name}"
    )
    await db.memories.put(("notes",), "secret", {"of": name}, user_id=user.id)
    return Belongings(user.id, voice.id, face.id, session.id, turn.id, document.id, kept.id)


@pytest.fixture
async def ada(digitwin_db: Database) -> Belongings:
    return await settled(digitwin_db, "ada")


@pytest.fixture
async def bob(digitwin_db: Database) -> Belongings:
    return await settled(digitwin_db, "bob")


@pytest.fixture
async def cleo(digitwin_db: Database) -> User:
    """Somebody with nothing."""
    return await digitwin_db.users.create(email="cleo@example.com", name="cleo")
