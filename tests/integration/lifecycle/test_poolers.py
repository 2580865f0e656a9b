"""PgBouncer in between: what it must be able to do, and what a start says if it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import asyncpg
import pytest

from digitwin.cli import doctor
from digitwin.connecting import connect
from digitwin.database import Database
from digitwin.errors import DigiTwinError, UnsupportedServerError
from digitwin.kernel.connection import dsn
from digitwin.kernel.execution import opening
from digitwin.settings import Settings
from tests.faults import pgbouncer

Pooler = Callable[..., AbstractContextManager[str]]
CALLERS = 8

installed = pytest.mark.skipif(pgbouncer.program() is None, reason="PgBouncer is not installed")
prepares = pytest.mark.skipif(
    pgbouncer.version() < pgbouncer.PREPARES, reason="needs PgBouncer 1.21 or newer"
)
pytestmark = installed
UNPREPARED = {"max_prepared_statements": 0} if pgbouncer.version() >= pgbouncer.PREPARES else {}
"""As an older one is."""


@pytest.fixture
def pooler(digitwin_url: str) -> Pooler:
    return partial(pgbouncer.in_front_of, digitwin_url)


async def test_transaction_mode_without_prepared_statements_is_refused(pooler: Pooler) -> None:
    with pooler("transaction", **UNPREPARED) as url:
        for _ in range(3):
            with pytest.raises(UnsupportedServerError, match=r"1\.21") as raised:
                await connect(url)
            assert not raised.value.retryable


async def test_it_is_refused_beside_the_traffic_of_others_too(pooler: Pooler) -> None:
    """Their transactions take server connections in between."""
    with pooler("transaction", default_pool_size=4, **UNPREPARED) as url:
        busy = [asyncio.create_task(_traffic(url)) for _ in range(6)]
        try:
            for _ in range(3):
                with pytest.raises(UnsupportedServerError):
                    await connect(url)
        finally:
            for task in busy:
                task.cancel()
            await asyncio.gather(*busy, return_exceptions=True)


async def _traffic(url: str) -> None:
    connection = await asyncpg.connect(url, statement_cache_size=0)
    try:
        while True:
            async with connection.transaction():
                await connection.execute("SELECT pg_sleep(0.001)")
    finally:
        connection.terminate()


async def test_no_statement_is_executed_in_place_of_another_process_s(
    pooler: Pooler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes count their statements alike; on each other's server connection they meet."""
    with pooler("transaction", default_pool_size=2, **UNPREPARED) as url:
        both = []
        for _ in range(2):
            monkeypatch.setattr(asyncpg.connection, "_uid", 0)
            both.append(await opening.connect_once(Settings(), dsn.parse(url)))
        one, other = both
        async with one.transaction():
            assert await one.fetchval("SELECT 'one'") == "one"
            monkeypatch.setattr(asyncpg.connection, "_uid", 0)
            assert await other.fetchval("SELECT 'other'") == "other"
        async with other.transaction():
            with pytest.raises(asyncpg.InvalidSQLStatementNameError):
                await one.fetchval("SELECT 'one'")
        for connection in both:
            connection.terminate()


async def test_one_that_comes_in_between_later_is_told(
    pooler: Pooler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the check at start."""
    monkeypatch.setattr("digitwin.kernel.execution.opening._require_prepared", _nothing)
    met: list[DigiTwinError] = []

    async def work(db: Database, n: int) -> None:
        for _ in range(20):
            try:
                found = await db.users.find_by_email(f"{n}@example.com")
                assert found is None
                answer = await db._core.db.fetchval("SELECT $1::int", n)
                assert answer == n
            except DigiTwinError as error:
                met.append(error)

    with pooler("transaction", default_pool_size=2, **UNPREPARED) as url:
        async with connect(url, migrate="skip") as one, connect(url, migrate="skip") as other:
            both = [work(db, n) for n in range(CALLERS) for db in (one, other)]
            await asyncio.gather(*both)
    assert met
    assert {type(error) for error in met} == {UnsupportedServerError}


async def _nothing(*args: Any) -> None:
    pass


@prepares
async def test_transaction_mode_with_prepared_statements_works(pooler: Pooler) -> None:
    with pooler("transaction", default_pool_size=3, max_prepared_statements=100) as url:
        await _use(url)


async def test_session_mode_works(pooler: Pooler) -> None:
    with pooler("session", default_pool_size=30) as url:
        await _use(url)


async def _use(url: str) -> None:
    """Many callers on two handles, with everything that sends statements in its own way."""
    async with connect(url) as one, connect(url) as other:

        async def work(db: Database, n: int) -> None:
            name = f"{n}-{id(db)}"
            async with db.transaction():
                user = await db.users.create(email=f"{name}@example.com", name=name)
            for _ in range(5):
                assert (await db.users.get(user.id)).name == name
                assert (await db.for_user(user.id).users.get(user.id)).name == name
            async for found in db.users.stream(name=name):
                assert found.id == user.id
            assert await db.limits.consume(name, "/chat", limit=10, window=60)
            await db.cache.responses.set(name, name)
            assert await db.cache.responses.get_or_create(name, _never) == name

        await asyncio.gather(*(work(db, n) for n in range(CALLERS) for db in (one, other)))
        assert await one.users.count() == 2 * CALLERS
        assert await one.ready()
        assert (await one.health()).ok


async def _never() -> str:
    raise AssertionError("it was stored")


class TestDoctor:
    """It does the sum: what a process keeps open, and what the pooler gives it."""

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DIGITWIN_POOL_MAX", "4")

    async def test_session_mode_with_too_few_connections(self, pooler: Pooler) -> None:
        with pooler("session", default_pool_size=4, query_wait_timeout=60) as url:
            found = await _finding(url)
        assert found.ok is False
        assert "4 of the 7" in found.detail
        assert "default_pool_size" in (found.cure or "")

    async def test_session_mode_with_enough(self, pooler: Pooler) -> None:
        with pooler("session", default_pool_size=10) as url:
            found = await _finding(url)
        assert (found.ok, "7 of the 7" in found.detail) == (True, True)

    async def test_transaction_mode_without_prepared_statements(self, pooler: Pooler) -> None:
        with pooler("transaction", **UNPREPARED) as url:
            found = await _finding(url)
        assert found.ok is False
        assert "max_prepared_statements" in (found.cure or "")

    @prepares
    async def test_transaction_mode_with_them(self, pooler: Pooler) -> None:
        with pooler("transaction", max_prepared_statements=100) as url:
            assert (await _finding(url)).ok


async def _finding(url: str) -> Any:
    found = {each.name: each async for each in doctor._of_the_server(Settings(), dsn.parse(url))}
    return found["pooler"]
