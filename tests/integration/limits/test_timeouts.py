"""When the database does not answer in time, a setting decides, and the caller is not kept.

The bound is a fifth of a second; a frozen network would hold a caller for thirty.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import (
    ConnectionFailedError,
    InvalidInputError,
    NotFoundError,
    RateLimitedError,
)
from digitwin.kernel.connection import dsn
from digitwin.limits.decision import Ask
from digitwin.policies import Policy
from digitwin.testing import DatabaseFactory
from tests.faults.proxy import Proxy
from tests.integration.limits.conftest import MONTH

CHAT: dict[str, Any] = {"limit": 10, "window": MONTH}
POLICIES = (Policy("/chat", 10, MONTH), Policy("/chat", 99, MONTH, "pro"))
TIMEOUT, SLACK = 0.2, 0.5

Call = Callable[[Database], Awaitable[Any]]


@pytest.fixture
async def proxy(digitwin_url: str) -> AsyncIterator[Proxy]:
    """The network between the handle and its database."""
    async with Proxy(dsn.parse(digitwin_url)) as proxy:
        yield proxy


@pytest.fixture(params=["deny", "allow"])
async def db(
    request: pytest.FixtureRequest, proxy: Proxy, digitwin_db_factory: DatabaseFactory
) -> Database:
    """A handle that does not wait, with both connections open."""
    db = await digitwin_db_factory(
        proxy.url,
        pool_max=2,
        decision_timeout=TIMEOUT,
        limiter_on_timeout=request.param,
        policies=POLICIES,
        statement_timeout=1,
        drain_timeout=1,
    )
    await asyncio.gather(db.users.count(), db.users.count())
    return db


def allows(db: Database) -> bool:
    return db.settings.limiter_on_timeout == "allow"


CALLS: dict[str, Call] = {
    "consume": lambda db: db.limits.consume("ada", "/chat", **CHAT),
    "lease": lambda db: db.limits.consume("ada", "/chat", **CHAT, lease=5),
    "peek": lambda db: db.limits.peek("ada", "/chat", **CHAT),
    "consume_all": lambda db: db.limits.consume_all(
        [Ask("ada", "/chat", 10, MONTH), Ask("all", "/chat", 100, MONTH)]
    ),
    "check": lambda db: db.limits.check(UUID(int=1), "/chat"),
    "reserve": lambda db: _estimate(db),
}


async def _estimate(db: Database) -> Any:
    return (await db.limits.reserve("ada", "llm", **CHAT, cost=5)).decision


@pytest.mark.parametrize("name", sorted(CALLS))
async def test_on_a_frozen_network(db: Database, proxy: Proxy, name: str) -> None:
    proxy.freeze()
    async with asyncio.timeout(TIMEOUT + SLACK):
        decision = await CALLS[name](db)
    assert bool(decision) == decision.allowed == allows(db)
    assert decision.degraded
    assert decision.retry_after == (0 if allows(db) else 1)
    proxy.thaw()


async def test_many_callers_are_let_go_together(db: Database, proxy: Proxy) -> None:
    """Two have a connection, the rest wait for one: none waits longer than itself."""
    proxy.freeze()
    async with asyncio.timeout(TIMEOUT + SLACK):
        decisions = await asyncio.gather(*(CALLS["consume"](db) for _ in range(50)))
    assert all(d.degraded and d.allowed == allows(db) for d in decisions)
    proxy.thaw()


async def test_the_handle_recovers_with_the_network(db: Database, proxy: Proxy) -> None:
    proxy.freeze()
    await asyncio.gather(*(CALLS["consume"](db) for _ in range(5)))
    proxy.thaw()
    async with asyncio.timeout(10):
        while (await CALLS["consume"](db)).degraded:
            pass
        async with db.transaction():
            assert not (await CALLS["consume"](db)).degraded
        while (await db.health()).pool.in_use:
            pass


async def test_when_every_connection_stays_in_use(db: Database) -> None:
    held = [await db._core.pool.acquire() for _ in range(2)]
    async with asyncio.timeout(TIMEOUT + SLACK):
        assert (await CALLS["consume"](db)).degraded
    for connection in held:
        await db._core.pool.release(connection, well=True)
    assert not (await CALLS["consume"](db)).degraded


async def test_when_another_holds_the_row(db: Database, raw: asyncpg.Connection) -> None:
    await CALLS["consume"](db)
    async with raw.transaction():
        await raw.execute("SELECT FROM rate_limits FOR UPDATE")
        async with asyncio.timeout(TIMEOUT + SLACK):
            assert (await CALLS["consume"](db)).degraded
    decision = await CALLS["consume"](db)
    assert not decision.degraded
    assert decision.remaining in (7, 8)  # it may have been granted just before it was given up


async def test_when_there_is_no_server(db: Database, proxy: Proxy) -> None:
    """Broken connections and refused ones are no more of an error than slow ones."""
    assert proxy._listener is not None
    proxy._listener.close()
    proxy.cut()
    for _ in range(4):
        decision = await CALLS["consume"](db)
        assert (decision.degraded, decision.allowed) == (True, allows(db))


async def test_what_is_leased_is_spent_meanwhile(db: Database, proxy: Proxy) -> None:
    await CALLS["lease"](db)
    proxy.freeze()
    for _ in range(4):
        assert not (await CALLS["lease"](db)).degraded
    assert (await CALLS["lease"](db)).degraded
    proxy.thaw()


async def test_require_raises_what_was_decided(db: Database, proxy: Proxy) -> None:
    proxy.freeze()
    if allows(db):
        assert (await db.limits.require("ada", "/chat", **CHAT)).degraded
    else:
        with pytest.raises(RateLimitedError) as refused:
            await db.limits.require("ada", "/chat", **CHAT)
        assert refused.value.decision.degraded
    proxy.thaw()


async def test_a_reservation_made_without_the_database_changes_nothing(
    db: Database, proxy: Proxy, raw: asyncpg.Connection
) -> None:
    proxy.freeze()
    reservation = await db.limits.reserve("ada", "llm", **CHAT, cost=5)
    proxy.cut()
    proxy.thaw()
    if reservation:
        assert (await reservation.settle(8)).degraded
    left = await raw.fetchval("SELECT min(tokens) FROM rate_limits")
    assert left in (None, 5)  # it may have been on its way


async def test_what_is_wrong_is_still_an_error(db: Database) -> None:
    with pytest.raises(InvalidInputError):
        await db.limits.consume("ada", "/chat", limit=0, window=1)
    with pytest.raises(InvalidInputError):
        await db.limits.check(uuid4(), "/unknown")
    with pytest.raises(NotFoundError):
        await db.limits.check(uuid4(), "/chat")


async def test_a_caller_who_is_cancelled_is_cancelled(db: Database, proxy: Proxy) -> None:
    proxy.freeze()
    async with asyncio.timeout(SLACK):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(TIMEOUT / 4):
                await CALLS["consume"](db)
    proxy.thaw()
    async with asyncio.timeout(10):
        while (await db.health()).pool.in_use:
            pass


async def test_the_log_says_it_once_for_many(
    db: Database, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.freeze()
    with caplog.at_level(logging.WARNING, "digitwin.limits"):
        for _ in range(2):
            await asyncio.gather(*(CALLS["consume"](db) for _ in range(10)))
    [record] = caplog.records
    assert ("allowed" if allows(db) else "denied") in record.getMessage()
    proxy.thaw()


async def test_the_handle_closes_on_a_frozen_network(db: Database, proxy: Proxy) -> None:
    proxy.freeze()
    await CALLS["lease"](db)
    async with asyncio.timeout(15):
        await db.close()


async def test_usage_counts_what_was_answered(db: Database, proxy: Proxy) -> None:
    proxy.freeze()
    await CALLS["consume_all"](db)
    proxy.thaw()
    async with asyncio.timeout(10):
        while True:
            try:
                usage = await db.limits.usage()
            except ConnectionFailedError:
                continue
            break
    assert [(each.allowed, each.denied) for each in usage] == [(2, 0) if allows(db) else (0, 2)]


async def test_without_the_setting_it_is_an_error(
    proxy: Proxy, digitwin_db_factory: DatabaseFactory
) -> None:
    db = await digitwin_db_factory(proxy.url, statement_timeout=0.2, connect_timeout=0.2)
    assert db.settings.decision_timeout is None
    await CALLS["consume"](db)
    proxy.freeze()
    for name in ("consume", "lease", "consume_all"):
        with pytest.raises(ConnectionFailedError):
            await CALLS[name](db)
    proxy.thaw()
