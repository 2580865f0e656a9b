"""Whoever comes first: nothing is in a deleted session that is not hidden, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import DigiTwinError, InvalidStateError, NotFoundError
from digitwin.models import ConversationSession, User
from digitwin.testing import DatabaseFactory
from digitwin.users.retention import DeletionRetention
from tests.integration.conversations.deletion.conftest import Talk
from tests.support.waiting import UntilWaiting

ROUNDS = 15

Call = Callable[[Database, UUID], Awaitable[Any]]
WRITES: dict[str, Call] = {
    "add_turn": lambda db, id: db.sessions.add_turn(id, user_text="Hi"),
    "add_turn with a key": lambda db, id: db.sessions.add_turn(
        id, user_text="Hi", idempotency_key="k"
    ),
    "add_turns": lambda db, id: db.sessions.add_turns(id, [{"user_text": "Hi"}]),
    "end": lambda db, id: db.sessions.end(id),
    "update": lambda db, id: db.sessions.update(id, metadata={"a": 1}),
    "add_artifact": lambda db, id: db.sessions.add_artifact(id, kind="file", artifact_uri="s3://x"),
}


def beside(work: Any) -> asyncio.Task[Any]:
    """Start work that is not part of the transaction around it."""
    return asyncio.create_task(work, context=Context())


@pytest.mark.parametrize("method", ["delete", "hard_delete"])
@pytest.mark.parametrize("name", WRITES)
async def test_a_write_waits_for_an_open_deletion_and_finds_nothing(
    digitwin_db: Database, gone: Talk, until_waiting: UntilWaiting, name: str, method: str
) -> None:
    async with digitwin_db.transaction():
        await getattr(digitwin_db.sessions, method)(gone.session)
        writing = beside(WRITES[name](digitwin_db, gone.session))
        await until_waiting()
    with pytest.raises(NotFoundError):
        await writing


@pytest.mark.parametrize("name", WRITES)
async def test_a_deletion_waits_for_an_open_write_and_hides_it(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    gone: Talk,
    until_waiting: UntilWaiting,
    name: str,
) -> None:
    async with digitwin_db.transaction():
        await WRITES[name](digitwin_db, gone.session)
        deleting = beside(digitwin_db.sessions.delete(gone.session))
        await until_waiting()
    await deleting
    assert await digitwin_db.sessions.count() == 0
    restored = await digitwin_db.sessions.restore(gone.session)
    rows = "SELECT count(*) FROM conversation_turns WHERE session_id = $1"
    assert await raw.fetchval(rows, gone.session) == restored.turn_count


async def test_an_artifact_that_came_before_a_hard_deletion_is_queued(
    digitwin_db: Database, raw: asyncpg.Connection, gone: Talk, until_waiting: UntilWaiting
) -> None:
    async with digitwin_db.transaction():
        await WRITES["add_artifact"](digitwin_db, gone.session)
        deleting = beside(digitwin_db.sessions.hard_delete(gone.session))
        await until_waiting()
    await deleting
    assert await raw.fetchval("SELECT count(*) FROM artifact_deletions") == 1


async def test_of_many_deletions_at_once_one_is_done(
    digitwin_db: Database, digitwin_url: str, digitwin_db_factory: DatabaseFactory, gone: Talk
) -> None:
    other = await digitwin_db_factory(digitwin_url)
    ends = await asyncio.gather(
        *(db.sessions.delete(gone.session) for db in (digitwin_db, other) * 4),
        return_exceptions=True,
    )
    assert [type(end) for end in ends].count(NotFoundError) == len(ends) - 1
    assert len((await digitwin_db.users.deletions()).items) == 1


async def test_everything_at_once_ends_well(
    digitwin_db: Database, raw: asyncpg.Connection, ada: User
) -> None:
    """Deletions, restores, turns, and what makes deletions final, in whatever order."""
    db = digitwin_db
    retention = DeletionRetention(db._core, db.cache, [db.privacy.before_final])
    for n in range(ROUNDS):
        session = await db.sessions.start(ada.id, external_id=f"chat {n}")
        await db.sessions.add_turn(session.id, user_text="Hi")
        if n % 2:
            await db.sessions.delete(session.id)
        ends = await asyncio.gather(
            db.sessions.delete(session.id),
            db.sessions.add_turn(session.id, user_text="Again"),
            db.sessions.restore(session.id),
            db.sessions.hard_delete(session.id) if n % 3 == 0 else retention.make_final(0),
            ConversationSession.filter(id=session.id).delete(),
            return_exceptions=True,
        )
        for end in ends:
            allowed = NotFoundError | InvalidStateError
            assert not isinstance(end, BaseException) or isinstance(end, allowed), end
    orphans = """SELECT count(*) FROM conversation_turns AS turn WHERE NOT EXISTS (
        SELECT FROM conversation_sessions AS held
        WHERE held.user_id = turn.user_id AND held.id = turn.session_id)"""
    assert await raw.fetchval(orphans) == 0
    counted = """SELECT count(*) FROM conversation_sessions AS held WHERE turn_count <> (
        SELECT count(*) FROM conversation_turns WHERE session_id = held.id)"""
    assert await raw.fetchval(counted) == 0


@pytest.mark.parametrize("method", ["delete", "hard_delete"])
async def test_a_session_and_its_owner_are_deleted_at_once(
    digitwin_db: Database, method: str
) -> None:
    db = digitwin_db
    for n in range(ROUNDS):
        user = await db.users.create(email=f"u{n}@example.com", name="U")
        session = await db.sessions.start(user.id)
        await db.sessions.add_turn(session.id, user_text="Hi")
        _, deleted = await asyncio.gather(
            db.users.delete(user.id),
            getattr(db.sessions, method)(session.id),
            return_exceptions=True,
        )
        assert deleted is None or isinstance(deleted, NotFoundError), deleted
        await db.users.restore(user.id)
        found = await db.sessions.find(session.id, include_deleted=True)
        if method == "hard_delete":
            assert found is None
        else:
            assert found is not None
            assert (found.deleted_at is None) == isinstance(deleted, DigiTwinError)
