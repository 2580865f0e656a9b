"""Two handles on one cache, and factories that wait to be told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import pytest

from digitwin.cache import fields
from digitwin.cache.repository import CacheRepository
from digitwin.connecting import connect
from digitwin.database import Database
from digitwin.testing import DatabaseFactory
from digitwin.testing.loop_thread import LoopThread, loop_thread

ADA, BOB = UUID(int=0xADA), UUID(int=0xB0B)

TABLES = {
    "embeddings": "embedding_cache",
    "searches": "vector_search_cache",
    "responses": "llm_response_cache",
}


T = TypeVar("T")


class Elsewhere:
    """A handle on an event loop of its own: what it hears of us comes through the database."""

    def __init__(self, loop: LoopThread, db: Database) -> None:
        self._loop = loop
        self._db = db

    async def do(self, work: Callable[[CacheRepository], Coroutine[Any, Any, T]]) -> T:
        """Have it do this."""
        return await asyncio.to_thread(self._loop.run, work(self._db.cache))


class Factory:
    """Makes a value when it is told to, and knows how often it was asked."""

    def __init__(self, value: Any = "made") -> None:
        self.value = value
        self.calls = 0
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self) -> Any:
        self.calls += 1
        self.begun.set()
        await self.go_on.wait()
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value


@pytest.fixture
def cache(digitwin_db: Database) -> CacheRepository:
    return digitwin_db.cache


@pytest.fixture
async def other(digitwin_url: str, digitwin_db_factory: DatabaseFactory) -> CacheRepository:
    """The same cache, as another process sees it."""
    return (await digitwin_db_factory(digitwin_url)).cache


@pytest.fixture
def elsewhere(digitwin_url: str) -> Iterator[Elsewhere]:
    """The same cache in what might as well be another process."""
    with loop_thread() as loop:
        db = loop.run(_opened(digitwin_url))
        yield Elsewhere(loop, db)
        loop.run(db.close())


async def _opened(url: str) -> Database:
    return await connect(url, migrate="skip")


@pytest.fixture
def slow() -> Factory:
    """A factory that has to be told to go on."""
    return Factory()


@pytest.fixture
def quick() -> Factory:
    """A factory that goes on by itself."""
    factory = Factory()
    factory.go_on.set()
    return factory


async def until(happened: Callable[[], object]) -> None:
    """Return once it has, on this event loop."""
    async with asyncio.timeout(5):
        while not happened():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)


async def remembered(cache: CacheRepository, key: str, **scope: Any) -> Any:
    """Ask for a response until it is answered from memory, and what it is."""
    entry_key = fields.entry_key(key, scope.get("user_id"), scope.get("audience", "owner"))
    async with asyncio.timeout(5):
        while cache._local.get("responses", entry_key) is None:
            await cache.responses.get(key, **scope)
    return await cache.responses.get(key, **scope)


@pytest.fixture
def expire(raw: asyncpg.Connection) -> Callable[..., Awaitable[None]]:
    """Let the time of a store's entries be over."""

    async def expire(store: str, key: str | None = None) -> None:
        await raw.execute(
            f"UPDATE {TABLES[store]} SET expires_at = now() WHERE key = coalesce($1, key)", key
        )

    return expire
