"""Cached answers that were made from a session go with its owner and its speakers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from digitwin import Participant, session_tag
from digitwin.database import Database
from digitwin.models import User
from digitwin.users.retention import DeletionRetention


async def _store(db: Database, session: UUID, *people: UUID) -> None:
    for person in (*people, None):
        await db.cache.responses.set("k", "x", user_id=person, tags=[session_tag(session)])


async def _stored(db: Database, *people: UUID) -> list[Any]:
    return [await db.cache.responses.get("k", user_id=person) for person in (*people, None)]


async def _final(db: Database, ada: User, session: UUID) -> None:
    await db.users.delete(ada.id)
    await _store(db, session)
    await DeletionRetention(db._core, db.cache).make_final(0)


WAYS: dict[str, Callable[[Database, User, UUID], Awaitable[Any]]] = {
    "delete": lambda db, ada, session: db.users.delete(ada.id),
    "hard_delete": lambda db, ada, session: db.users.hard_delete(ada.id),
    "the end of a deletion": _final,
    "erase": lambda db, ada, session: db.privacy.erase(ada.id, reason="x"),
    "erase_participant": lambda db, ada, session: db.privacy.erase_participant(
        kind="phone", ref="+441815", reason="x"
    ),
    "the guest of a session": lambda db, ada, session: db.privacy.erase_participant(
        session_id=session, reason="x"
    ),
}


@pytest.mark.parametrize("way", WAYS)
async def test_whoever_stored_them(digitwin_db: Database, way: str) -> None:
    db = digitwin_db
    ada = await db.users.create(email="ada@example.com", name="Ada")
    bob = await db.users.create(email="bob@example.com", name="Bob")
    ref = None if way == "the guest of a session" else "+441815"
    kind: Any = "phone" if ref else "guest"
    session = await db.sessions.start(ada.id, participant=Participant(kind=kind, ref=ref))
    other = await db.sessions.start(bob.id)
    await db.cache.responses.set("other", "x", user_id=bob.id, tags=[session_tag(other.id)])
    await _store(db, session.id, bob.id)
    await WAYS[way](db, ada, session.id)
    assert await _stored(db, bob.id) == [None, None]
    assert await db.cache.responses.get("other", user_id=bob.id) == "x"


async def test_a_second_speaker_takes_those_of_the_session_along(digitwin_db: Database) -> None:
    db = digitwin_db
    ada = await db.users.create(email="ada@example.com", name="Ada")
    second = Participant(kind="phone", ref="+441852")
    earlier = await db.sessions.start(ada.id, participant=second)
    session = await db.sessions.start(ada.id)
    await db.sessions.add_turn(session.id, user_text="Hi", participant_id=earlier.participant_id)
    await _store(db, session.id)
    await db.privacy.erase_participant(kind="phone", ref="+441852", reason="x")
    assert await _stored(db) == [None]
