"""Recorders, and what they have stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.kernel.connection import dsn
from digitwin.models import ConversationSession
from digitwin.testing import DatabaseFactory
from tests.faults.proxy import Proxy
from tests.integration.conversations.recorder.stored import Stored, stored_in

HASTY: dict[str, Any] = {
    "pool_min": 1,
    "pool_max": 3,
    "connect_timeout": 0.5,
    "acquire_timeout": 0.5,
    "statement_timeout": 0.5,
    "lock_timeout": 0.2,
    "drain_timeout": 3,
    "recorder_lag": 0.02,
}
"""Bounds short enough for a test to wait them out."""


@pytest.fixture
async def proxy(digitwin_url: str) -> AsyncIterator[Proxy]:
    """The network between a handle and its database."""
    async with Proxy(dsn.parse(digitwin_url)) as proxy:
        yield proxy


@pytest.fixture
async def hasty(proxy: Proxy, digitwin_db_factory: DatabaseFactory) -> Database:
    """A handle behind the proxy, with short bounds."""
    return await digitwin_db_factory(proxy.url, **HASTY)


@pytest.fixture
def stored(
    raw: asyncpg.Connection, session: ConversationSession
) -> Callable[[], Awaitable[Stored]]:
    """Return what the session holds now."""

    async def read() -> Stored:
        return await stored_in(raw, session.id)

    return read
