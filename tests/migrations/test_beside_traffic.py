"""An upgrade beside callers of the release before: none fails, none meets a deadlock.

Twice: the last migration beside callers who send what the release before it sent, kept as text;
and one of a test, which changes every table that a call uses, beside this code.
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
from tests.migrations.next_migration import NEWEST, NEXT
from tests.migrations.release_before import ReleaseBefore

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

Call = Callable[[], Awaitable[object]]


class Traffic:
    """Callers, who call until they are stopped; their first errors stop the test."""

    def __init__(self, *calls: Call) -> None:
        self._callers = calls
        self.calls = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Call while the block runs, and for one call of each caller after it."""
        self._going = True
        try:
            async with asyncio.TaskGroup() as callers:
                for call in self._callers:
                    callers.create_task(self._repeat(call))
                yield
                self._going = False
        finally:
            self._going = False

    async def _repeat(self, call: Call) -> None:
        last = False
        while not last:
            last = not self._going
            await call()
            self.calls += 1


class ThisRelease:
    """Calls of this code."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._numbers = count()

    async def _person(self) -> digitwin.models.User:
        return await self._db.users.create(email=f"p{next(self._numbers)}@example.com", name="P")

    async def signs_up(self) -> None:
        user = await self._person()
        await self._db.users.update(user.id, name="Q", email=f"q{next(self._numbers)}@example.com")

    async def talks(self) -> None:
        user = await self._person()
        session = await self._db.sessions.start(user.id)
        for _ in range(5):
            await self._db.sessions.add_turn(session.id, user_text="Hello")

    async def remembers(self) -> None:
        key = f"k{next(self._numbers)}"
        await self._db.cache.responses.set(key, "v", tags=("t",))
        await self._db.cache.responses.get(key)
        await self._db.cache.responses.invalidate(tag="t")

    async def asks_the_limiter(self) -> None:
        await self._db.limits.consume("web", "/chat", limit=1_000_000, window=60)

    async def deletes(self) -> None:
        user = await self._person()
        document = await self._db.documents.create(user_id=user.id, title="T", content="C")
        await self._db.documents.delete(document.id)
        await self._db.users.delete(user.id)
        await self._db.users.restore(user.id)

    async def erases(self) -> None:
        await self._db.privacy.erase((await self._person()).id, reason="asked")


@pytest.fixture
async def traffic(
    connection: asyncpg.Connection, url: str, tmp_path: Path
) -> AsyncIterator[Traffic]:
    """Callers of this release, with rows in every table."""
    await fill(connection, NEWEST)
    given = {"home": tmp_path, "migrate": "skip", "master_key": master_keys.generate()}
    async with digitwin.connect(url, pool_max=12, **given) as db:
        these = ThisRelease(db)
        twice = (these.signs_up, these.talks, these.remembers) * 2
        yield Traffic(*twice, these.asks_the_limiter, these.deletes, these.erases)


@pytest.fixture
async def traffic_before(connection: asyncpg.Connection, url: str) -> AsyncIterator[Traffic]:
    """Callers of the release before, on its schema, with rows in every table."""
    await fill(connection, NEWEST - 1)
    async with asyncpg.create_pool(url, min_size=0, max_size=12) as pool:
        those = ReleaseBefore(pool)
        yield Traffic(*(those.talks, those.works) * 2, those.deletes, those.erases)


async def upgraded(target: Target, auto: Settings, traffic: Traffic, new: list[str]) -> None:
    """Upgrade beside the callers, two processes at once, and revert without them."""
    for _ in range(ROUNDS):
        async with traffic.running():
            applied = await asyncio.gather(*(upgrade.upgrade(target, auto) for _ in range(2)))
        assert sorted(applied) == [[], new]
        assert await upgrade.downgrade(target, auto, steps=len(new), lose_data=True) == new[::-1]
    assert traffic.calls >= 6 * ROUNDS


async def test_no_caller_notices_that_roles_and_row_security_are_made(
    traffic: Traffic, connection: asyncpg.Connection
) -> None:
    """The callers' login is a superuser, whom row security does not concern."""
    for _ in range(ROUNDS):
        async with traffic.running():
            await roles.apply(connection)


async def test_no_caller_notices_the_next_migration(
    traffic: Traffic, add_next: AddNext, target: Target, auto: Settings
) -> None:
    add_next(*EVERY_HOT_TABLE, down=BACK)
    await upgraded(target, auto, traffic, [NEXT])


async def test_no_caller_of_the_release_before_notices(
    traffic_before: Traffic, target: Target, auto: Settings
) -> None:
    """Its last calls are on the new schema: they return what they did."""
    await upgraded(target, auto, traffic_before, NAMES[NEWEST - 1 :])
