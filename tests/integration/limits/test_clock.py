"""A server clock that was ahead for a moment: what it left behind holds for one window at most."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from digitwin.limits.decision import Ask
from digitwin.limits.repository import RateLimitRepository
from tests.integration.limits.conftest import Elapse
from tests.support.waiting import UntilWaiting

DAY = 86_400.0
PER_MINUTE: dict[str, Any] = {"limit": 10, "window": 60}
LONGEST = 60 + 6 + 0.1
"""Seconds until one token is there: a window's debt, and the token's own time."""

Consume = Callable[[RateLimitRepository], Awaitable[Any]]


async def alone(limits: RateLimitRepository) -> bool:
    return bool(await limits.consume("ada", "/chat", **PER_MINUTE))


async def jointly(limits: RateLimitRepository) -> bool:
    return bool(await limits.consume_all([Ask("ada", "/chat", 10, 60), Ask("ada", "/b", 10, 60)]))


async def by_lease(limits: RateLimitRepository) -> bool:
    return bool(await limits.consume("ada", "/chat", **PER_MINUTE, lease=1))


@pytest.mark.parametrize("consume", [alone, jointly, by_lease])
async def test_after_a_clock_that_was_ahead_one_window_is_waited(
    limits: RateLimitRepository, elapse: Elapse, consume: Consume
) -> None:
    assert await limits.consume("ada", "/chat", **PER_MINUTE, cost=10)
    await elapse(-DAY)  # how the row looks once a jump of a day is corrected
    assert not await consume(limits)
    told = await limits.peek("ada", "/chat", **PER_MINUTE)
    assert told.retry_after <= LONGEST
    await elapse(told.retry_after)
    assert await alone(limits)


async def test_what_was_left_can_be_used_at_once(
    limits: RateLimitRepository, elapse: Elapse
) -> None:
    assert await limits.consume("ada", "/chat", **PER_MINUTE, cost=3)
    await elapse(-DAY)
    assert await limits.consume("ada", "/chat", **PER_MINUTE, cost=7)
    assert not await alone(limits)


async def test_peek_tells_what_consume_would(limits: RateLimitRepository, elapse: Elapse) -> None:
    assert await limits.consume("ada", "/chat", **PER_MINUTE, cost=10)
    await elapse(-DAY)
    assert (await limits.peek("ada", "/chat", **PER_MINUTE)).retry_after <= LONGEST


async def test_a_settlement_adds_one_window_at_most(
    limits: RateLimitRepository, elapse: Elapse, raw: asyncpg.Connection
) -> None:
    reservation = await limits.reserve("ada", "/chat", **PER_MINUTE, cost=10)
    await elapse(-DAY)
    await reservation.settle(30)
    owed = await raw.fetchval("SELECT updated_at - now() FROM rate_limits")
    assert owed.total_seconds() <= 60


async def test_a_debt_is_still_owed(limits: RateLimitRepository) -> None:
    reservation = await limits.reserve("ada", "/chat", **PER_MINUTE, cost=1)
    await reservation.settle(20)
    refused = await limits.consume("ada", "/chat", **PER_MINUTE)
    assert 60 < refused.retry_after <= LONGEST


async def test_a_caller_that_waited_for_the_row_sets_nothing_back(
    limits: RateLimitRepository, raw: asyncpg.Connection, until_waiting: UntilWaiting
) -> None:
    """Its clock is older than what others wrote meanwhile, by more than a window of 1 ms."""
    assert await limits.consume("ada", "/chat", limit=10, window=0.001)
    async with raw.transaction():
        await raw.execute("SELECT FROM rate_limits FOR UPDATE")
        waiting = asyncio.create_task(limits.consume("ada", "/chat", limit=10, window=0.001))
        await until_waiting(1)
        await raw.execute("UPDATE rate_limits SET tokens = 0, updated_at = clock_timestamp()")
        written = await raw.fetchval("SELECT updated_at FROM rate_limits")
    assert not await waiting
    assert await raw.fetchval("SELECT updated_at FROM rate_limits") >= written
