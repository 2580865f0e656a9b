"""What the tests of every domain start from. A folder that needs more of Ada says so."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.models import User
from tests.support.waiting import UntilWaiting


@pytest.fixture
async def ada(digitwin_db: Database) -> User:
    return await digitwin_db.users.create(email="ada@example.com", name="Ada")


@pytest.fixture
async def bob(digitwin_db: Database) -> User:
    return await digitwin_db.users.create(email="bob@example.com", name="Bob")


@pytest.fixture
async def raw(digitwin_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection to the test's database, past everything that digitwin does."""
    connection = await asyncpg.connect(digitwin_url)
    yield connection
    await connection.close()


@pytest.fixture
async def until_waiting(digitwin_url: str) -> AsyncIterator[UntilWaiting]:
    """Return once so many statements in the test's database wait for a lock."""
    connection = await asyncpg.connect(digitwin_url)
    yield UntilWaiting(connection)
    await connection.close()
