"""Two owners of documents."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from digitwin.database import Database
from digitwin.models import KnowledgeDocument, User


@pytest.fixture
async def ada(digitwin_db: Database) -> User:
    return await digitwin_db.users.create(email="ada@example.com", name="Ada")


@pytest.fixture
async def bob(digitwin_db: Database) -> User:
    return await digitwin_db.users.create(email="bob@example.com", name="Bob")


@pytest.fixture
def note(digitwin_db: Database, ada: User) -> Callable[..., Awaitable[KnowledgeDocument]]:
    """Store a document of Ada's with defaults for the fields that a test does not set."""

    async def store(**fields: object) -> KnowledgeDocument:
        given = {"user_id": ada.id, "title": "Note", "content": "Nothing much.", **fields}
        return await digitwin_db.documents.create(**given)  # type: ignore[arg-type]

    return store


@pytest.fixture
def somebody_waits(digitwin_db: Database) -> Callable[[], Awaitable[None]]:
    """Return once a statement in this database waits for a lock."""

    async def until_it_waits() -> None:
        async with asyncio.timeout(5):
            while not await digitwin_db._core.aside.fetchval(  # noqa: ASYNC110 - there is no event to wait for
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ):
                await asyncio.sleep(0.005)

    return until_it_waits
