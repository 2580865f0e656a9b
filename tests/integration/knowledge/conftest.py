"""Documents of Ada's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from digitwin.database import Database
from digitwin.models import KnowledgeDocument, User


@pytest.fixture
def note(digitwin_db: Database, ada: User) -> Callable[..., Awaitable[KnowledgeDocument]]:
    """Store a document of Ada's with defaults for the fields that a test does not set."""

    async def store(**fields: object) -> KnowledgeDocument:
        given = {"user_id": ada.id, "title": "Note", "content": "Nothing much.", **fields}
        return await digitwin_db.documents.create(**given)  # type: ignore[arg-type]

    return store
