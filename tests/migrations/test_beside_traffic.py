"""An upgrade beside callers of the release before: none fails, none meets a deadlock.

The release before is this code on the first schema; the next migration of a test changes every
table that a call uses.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import asyncpg
import pytest

import digitwin
from digitwin import roles
from digitwin.database import Database
from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.migrations import files, upgrade
from digitwin.keys import master_keys
from digitwin.settings import Settings
from tests.migrations.conftest import AddNext
from tests.migrations.filling import fill
from tests.migrations.next_migration import NEXT

NAMES = [migration.name for migration in files.all_migrations()]
HOT = (
    "users",
    "user_emails",
    "conversation_sessions",
    "conversation_turns",
    "knowledge_documents",
    "deletions",
    "llm_response_cache",
    "rate_limits",
    "audit_logs",
)
EVERY_HOT_TABLE = [
    *(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS later int DEFAULT 1" for table in HOT[::-1]),
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_users__later ON users (later)",
]
BACK = "; ".join(f"ALTER TABLE {table} DROP COLUMN later" for table in HOT)
ROUNDS = 4

Call = Callable[[Database], Awaitable[object]]


class Traffic:
    """Nine callers, who call until they are stopped; their first errors stop the test."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._numbers = count()
        self.calls = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Call while the block runs, and for one call of each caller after it."""
        self._going = True
        try:
            async with asyncio.TaskGroup() as callers:
                for call in (self._signs_up, self._talks, self._remembers):
                    for _ in range(2):
                        callers.create_task(self._repeat(call))
                for call in (self._asks_the_limiter, self._deletes, self._erases):
                    callers.create_task(self._repeat(call))
                yield
                self._going = False
        finally:
            self._going = False

    async def _repeat(self, call: Call) -> None:
        last = False
        while not last:
            last = not self._going
            await call(self._db)
            self.calls += 1

    async def _person(self, db: Database) -> digitwin.models.User:
        return await db.users.create(email=f"p{next(self._numbers)}@example.com", name="P")

    async def _signs_up(self, db: Database) -> None:
        user = await self._person(db)
        await db.users.update(user.id, name="Q", email=f"q{next(self._numbers)}@example.com")

    async def _talks(self, db: Database) -> None:
        user = await self._person(db)
        session = await db.sessions.start(user.id)
        for _ in range(5):
            await db.sessions.add_turn(session.id, user_text="Hello")

    async def _remembers(self, db: Database) -> None:
        key = f"k{next(self._numbers)}"
        await db.cache.responses.set(key, "v", tags=("t",))
        await db.cache.responses.get(key)
        await db.cache.responses.invalidate(tag="t")

    async def _asks_the_limiter(self, db: Database) -> None:
        await db.limits.consume("web", "/chat", limit=1_000_000, window=60)

    async def _deletes(self, db: Database) -> None:
        user = await self._person(db)
        document = await db.documents.create(user_id=user.id, title="T", content="C")
        await db.documents.delete(document.id)
        await db.users.delete(user.id)
        await db.users.restore(user.id)

    async def _erases(self, db: Database) -> None:
        await db.privacy.erase((await self._person(db)).id, reason="asked")


@pytest.fixture
async def traffic(
    connection: asyncpg.Connection, url: str, tmp_path: Path
) -> AsyncIterator[Traffic]:
    """Callers on the first schema, with rows in every table."""
    await fill(connection, 1)
    given = {"home": tmp_path, "migrate": "skip", "master_key": master_keys.generate()}
    async with digitwin.connect(url, pool_max=12, **given) as db:
        yield Traffic(db)


async def test_no_caller_notices_that_roles_and_row_security_are_made(
    traffic: Traffic, connection: asyncpg.Connection
) -> None:
    """The callers' login is a superuser, whom row security does not concern."""
    for _ in range(ROUNDS):
        async with traffic.running():
            await roles.apply(connection)


async def test_no_caller_of_the_release_before_notices(
    traffic: Traffic, add_next: AddNext, target: Target, auto: Settings
) -> None:
    add_next(*EVERY_HOT_TABLE, down=BACK)
    new = [*NAMES[1:], NEXT]
    for _ in range(ROUNDS):
        async with traffic.running():
            applied = await asyncio.gather(*(upgrade.upgrade(target, auto) for _ in range(2)))
        assert sorted(applied) == [[], new]
        assert await upgrade.downgrade(target, auto, steps=len(new), lose_data=True) == new[::-1]
    assert traffic.calls >= 9 * ROUNDS
