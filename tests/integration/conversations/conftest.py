"""Conversations of Ada's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from digitwin.conversations.repository import ConversationSessionRepository
from digitwin.database import Database
from digitwin.kernel.connection.transactions import Transaction
from digitwin.models import ConversationSession, User
from digitwin.testing import DatabaseFactory
from tests.integration.conversations.queue import Between, Queue, locked
from tests.support.waiting import UntilWaiting

WRITERS = 50


@pytest.fixture
def sessions(digitwin_db: Database) -> ConversationSessionRepository:
    return digitwin_db.sessions


@pytest.fixture
async def session(sessions: ConversationSessionRepository, ada: User) -> ConversationSession:
    """A new session of Ada's."""
    return await sessions.start(ada.id)


@pytest.fixture
async def crowd(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, ada: User
) -> ConversationSessionRepository:
    """The session repository of a handle with 24 connections."""
    return (await digitwin_db_factory(digitwin_url, pool_max=24)).sessions


async def assert_gapless(sessions: ConversationSessionRepository, id: Any, turns: int) -> None:
    """Assert that the session has this many turns, at positions from 1 without gaps."""
    loaded = await sessions.with_turns(id)
    assert [turn.position for turn in loaded.turns] == list(range(1, turns + 1))
    assert loaded.turn_count == turns


@asynccontextmanager
async def statements(db: Database) -> AsyncIterator[list[tuple[Any, ...]]]:
    """Record the statements sent within, with their parameters, in one transaction.

    Not those by which asyncpg asks a new connection what an array is.
    """
    sent: list[tuple[Any, ...]] = []

    def note(record: Any) -> None:
        if "conversation_" in record.query:
            sent.append((record.query, *record.args))

    async with db.transaction():
        frame = Transaction.of(db._core.pool)
        assert frame is not None
        with frame.connection.query_logger(note):
            yield sent


@pytest.fixture
async def queue(
    raw: asyncpg.Connection, session: ConversationSession, until_waiting: UntilWaiting
) -> AsyncIterator[Queue]:
    async with locked(raw, session) as release:
        yield Queue(until_waiting, release)


@pytest.fixture
async def other(digitwin_url: str, digitwin_db_factory: DatabaseFactory) -> Database:
    """Another handle, such as that of another process."""
    return await digitwin_db_factory(digitwin_url)


@pytest.fixture
def between(other: Database, queue: Queue, until_waiting: UntilWaiting) -> Between:
    return Between(other, queue, until_waiting)
