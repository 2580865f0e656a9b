"""A session to record, and a database that can be away."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from digitwin.database import Database
from digitwin.kernel.connection import dsn
from digitwin.models import ConversationSession, User
from digitwin.testing import DatabaseFactory
from tests.faults.proxy import Proxy
from tests.integration.conversations.recorder.conftest import HASTY


@pytest.fixture
async def session(digitwin_db: Database, ada: User) -> ConversationSession:
    """A new session of Ada's."""
    return await digitwin_db.sessions.start(ada.id)


@pytest.fixture
async def proxy(digitwin_url: str) -> AsyncIterator[Proxy]:
    """The network between a handle and its database."""
    async with Proxy(dsn.parse(digitwin_url)) as proxy:
        yield proxy


@pytest.fixture
async def hasty(proxy: Proxy, digitwin_db_factory: DatabaseFactory) -> Database:
    """A handle behind the proxy, with short bounds."""
    return await digitwin_db_factory(proxy.url, **HASTY)
