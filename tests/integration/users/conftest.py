"""Somebody with something of every kind."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import pytest

from digitwin.database import Database
from digitwin.testing import DatabaseFactory
from digitwin.users.repository import UserRepository

ROUNDS = 20
"""Times a race is run: a guard that is missing shows within a few."""

CHILDREN = ("voices", "faces", "documents", "sessions")
"""What is a person's own, by the names of the repositories."""


@pytest.fixture
def users(digitwin_db: Database) -> UserRepository:
    return digitwin_db.users


@pytest.fixture
async def mute(digitwin_db_factory: DatabaseFactory) -> UserRepository:
    """Users of a handle that can send nothing: what it refuses, it refuses by itself."""
    db = await digitwin_db_factory(pool_min=0, acquire_timeout=0.2)
    db._core.pool.terminate()
    return db.users


async def create_child(db: Database, kind: str, owner: UUID) -> Any:
    """Something of a person's; it fits into every table."""
    if kind == "sessions":
        return await db.sessions.start(owner)
    if kind == "documents":
        return await db.documents.create(user_id=owner, title="Hours", content="From nine.")
    return await getattr(db, kind).create(user_id=owner, name="Warm", status="ready")


class Belongings(NamedTuple):
    """The ids of what a person has, as the repositories show it."""

    voices: list[UUID]
    faces: list[UUID]
    documents: list[UUID]
    sessions: list[UUID]


async def belongings(db: Database, owner: UUID) -> Belongings:
    """All that is visible of a person's."""
    seen = [[row.id async for row in getattr(db, kind).stream(user_id=owner)] for kind in CHILDREN]
    return Belongings(*seen)
