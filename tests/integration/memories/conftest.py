"""The memories of Ada, bound to her."""

from __future__ import annotations

import pytest

from digitwin.database import Database
from digitwin.memories.repository import MemoryRepository
from digitwin.models import User


@pytest.fixture
def hers(digitwin_db: Database, ada: User) -> MemoryRepository:
    return digitwin_db.for_user(ada.id).memories
