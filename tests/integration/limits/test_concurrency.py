"""Many at once: tasks, handles, processes and transactions on the same buckets."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.limits.repository import RateLimitRepository
from digitwin.testing import DatabaseFactory
from tests.integration.limits.conftest import MONTH, gathered
from tests.integration.limits.processes import allowed, go, workers
from tests.support.waiting import UntilWaiting

CHAT: dict[str, Any] = {"limit": 100, "window": MONTH}


async def test_a_new_bucket_of_100_admits_exactly_100_of_1000(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory
) -> None:
    """On ten connections of each of three handles; each round begins with a cold key."""
    handles = [
        await digitwin_db_factory(digitwin_url, pool_min=10, pool_max=10, acquire_timeout=60)
        for _ in range(3)
    ]
    for endpoint in ("/chat", "/voice"):
        decisions = await gathered(
            handles[n % 3].limits.consume("ada", endpoint, **CHAT) for n in range(1000)
        )
        assert sum(map(bool, decisions)) == 100
        left = sorted(decision.remaining for decision in decisions if decision)
        assert left == list(range(100))


async def test_so_it_does_from_several_processes(digitwin_url: str) -> None:
    async with workers(digitwin_url, 3, tasks=100, **CHAT) as started:
        for process in started:
            go(process)
        assert sum([await allowed(process) for process in started]) == 100


async def test_costs_add_up_to_no_more_than_the_limit(
    limits: RateLimitRepository, other: RateLimitRepository
) -> None:
    costs = [1 + n % 7 for n in range(120)]
    decisions = await gathered(
        (limits, other)[n % 2].consume("ada", "/chat", **CHAT, cost=cost)
        for n, cost in enumerate(costs)
    )
    taken = sum(cost for cost, decision in zip(costs, decisions, strict=True) if decision)
    left = (await limits.peek("ada", "/chat", **CHAT)).remaining
    assert (taken + left, left) == (100, 0)


async def test_a_rollback_refunds_nothing(digitwin_db: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            assert await digitwin_db.limits.consume("ada", "/chat", **CHAT, cost=100)
            raise ZeroDivisionError
    assert not await digitwin_db.limits.consume("ada", "/chat", **CHAT)


async def test_no_lock_lasts_until_the_commit(
    digitwin_db: Database, other: RateLimitRepository
) -> None:
    async with digitwin_db.transaction():
        assert await digitwin_db.limits.consume("ada", "/chat", **CHAT)
        async with asyncio.timeout(4):
            assert (await other.consume("ada", "/chat", **CHAT)).remaining == 98


async def test_an_open_deletion_of_a_person_blocks_nobody(
    digitwin_db: Database, other: RateLimitRepository
) -> None:
    """Limits have no foreign key, which would wait for the person's row."""
    user = await digitwin_db.users.create(email="ada@example.com", name="Ada")
    async with digitwin_db.transaction():
        await digitwin_db.users.hard_delete(user.id)
        async with asyncio.timeout(4):
            assert await other.consume(user.id, "/chat", **CHAT)


async def test_eight_transactions_on_four_connections_all_ask(
    digitwin_db_factory: DatabaseFactory,
) -> None:
    db = await digitwin_db_factory(pool_max=4, acquire_timeout=10)

    async def ask(n: int) -> int:
        async with db.transaction():
            await db.users.create(email=f"{n}@example.com", name="Ada")
            return (await db.limits.consume("ada", "/chat", **CHAT)).remaining

    assert sorted(await gathered(ask(n) for n in range(8))) == list(range(92, 100))


async def test_resets_and_decisions_do_not_block_each_other_for_good(
    limits: RateLimitRepository, other: RateLimitRepository
) -> None:
    """Each reset locks several buckets, in the order of their key."""

    async def ask(n: int) -> Any:
        return await limits.consume("ada", f"/{n % 5}", **CHAT)

    answers = await gathered(
        (limits, other)[n % 2].reset("ada") if n % 3 == 0 else ask(n) for n in range(150)
    )
    assert all(answer is not None for answer in answers)


async def test_a_decision_waits_for_the_one_before_it_and_sees_what_it_took(
    limits: RateLimitRepository, raw: asyncpg.Connection, until_waiting: UntilWaiting
) -> None:
    await limits.consume("ada", "/chat", **CHAT)
    async with raw.transaction():
        await raw.execute("UPDATE rate_limits SET tokens = 0")
        decision = asyncio.ensure_future(limits.consume("ada", "/chat", **CHAT))
        await until_waiting()
    assert not await decision
