"""Hot buckets are decided from memory, and never admit more than they hold."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import ClosedError, InvalidInputError, QueryTimeoutError, RateLimitedError
from digitwin.limits import leases
from digitwin.limits.repository import RateLimitRepository
from digitwin.testing import DatabaseFactory
from tests.integration.limits.conftest import MONTH, Tokens, gathered
from tests.support.waiting import UntilWaiting

HOT: dict[str, Any] = {"limit": 100, "window": MONTH, "lease": 10}


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is given back by itself while the test runs."""
    monkeypatch.setattr(leases, "LEASE_AGE", 3600.0)
    monkeypatch.setattr(leases, "SWEEP", 3600.0)


pytestmark = pytest.mark.usefixtures("patient")


async def ask(limits: RateLimitRepository, cost: int = 1, **other: Any) -> Any:
    return await limits.consume("ada", "/chat", **HOT | other, cost=cost)


async def test_one_round_trip_is_good_for_many(
    limits: RateLimitRepository, tokens: Tokens, raw: asyncpg.Connection
) -> None:
    assert (await ask(limits)).remaining == 99
    assert await tokens() == 90
    await raw.execute("ALTER TABLE rate_limits RENAME TO elsewhere")
    for left in range(98, 89, -1):
        decision = await ask(limits)
        assert (decision.allowed, decision.remaining, decision.limit) == (True, left, 100)
    await raw.execute("ALTER TABLE elsewhere RENAME TO rate_limits")
    assert (await ask(limits)).remaining == 89
    assert await tokens() == 80


async def test_callers_who_find_it_empty_share_one_round_trip(
    limits: RateLimitRepository, tokens: Tokens
) -> None:
    assert all(await gathered(ask(limits) for _ in range(10)))
    assert await tokens() == 90


async def test_exactly_the_limit_passes(limits: RateLimitRepository, tokens: Tokens) -> None:
    decisions = await gathered(ask(limits, lease=7) for _ in range(300))
    assert sum(map(bool, decisions)) == 100
    assert await tokens() == 0


async def test_all_handles_together_never_admit_more(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, limits: RateLimitRepository
) -> None:
    """What they did not spend is there again when they are closed."""
    handles = [await digitwin_db_factory(digitwin_url) for _ in range(3)]
    decisions = await gathered(
        ask(handles[n % 3].limits, cost=1 + n % 4, lease=15) for n in range(90)
    )
    spent = sum(1 + n % 4 for n, decision in enumerate(decisions) if decision)
    assert spent <= 100
    for handle in handles:
        await handle.close()
    assert (await limits.peek("ada", "/chat", limit=100, window=MONTH)).remaining == 100 - spent


async def test_what_is_left_over_is_less_than_a_lease_and_is_given_out(
    limits: RateLimitRepository, tokens: Tokens
) -> None:
    await limits.consume("ada", "/chat", limit=100, window=MONTH, cost=96)
    assert [bool(await ask(limits)) for _ in range(5)] == [True] * 4 + [False]
    assert await tokens() < 1


async def test_a_call_may_cost_more_than_a_lease(
    limits: RateLimitRepository, tokens: Tokens
) -> None:
    assert await ask(limits, cost=25)
    assert await tokens() == 75
    await ask(limits)
    assert (await ask(limits, cost=12)).remaining == 62
    assert await tokens() == 62 - 7
    assert await ask(limits, cost=62)
    assert await tokens() == 0
    assert not await ask(limits)


async def test_what_is_held_goes_towards_a_call_that_costs_more(
    limits: RateLimitRepository, tokens: Tokens
) -> None:
    """Eight are held and two are left: ten is what both make."""
    await limits.consume("ada", "/chat", limit=100, window=MONTH, cost=88)
    await ask(limits, cost=2)
    assert await tokens() == 2
    assert await ask(limits, cost=10)
    assert await tokens() == 0


async def test_a_closing_handle_gives_back_what_it_did_not_spend(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, tokens: Tokens
) -> None:
    db = await digitwin_db_factory(digitwin_url)
    for _ in range(3):
        await ask(db.limits, lease=50)
    assert await tokens() == 50
    await db.close()
    assert await tokens() == 97


async def test_it_gives_back_many_buckets_of_different_limits(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, limits: RateLimitRepository
) -> None:
    db = await digitwin_db_factory(digitwin_url)
    for n in range(30):
        await db.limits.consume(f"s{n}", "/chat", **HOT)
        await db.limits.consume(f"s{n}", "/chat", limit=1000, window=MONTH, lease=100)
    await db.close()
    for n in range(30):
        left = await limits.peek(f"s{n}", "/chat", limit=1000, window=MONTH)
        assert left.remaining == 989  # one of a hundred, and one of a thousand


async def test_a_quiet_process_gives_back_by_itself(
    limits: RateLimitRepository, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE_AGE", 0.02)
    monkeypatch.setattr(leases, "SWEEP", 0.02)
    limits._leases = leases.Leases(limits._buckets)
    await ask(limits, lease=50)
    async with asyncio.timeout(10):
        while await tokens() != 99:
            pass
        while limits._leases._leases:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.005)
    assert await ask(limits)


async def test_what_is_past_its_time_is_not_spent(
    limits: RateLimitRepository, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE_AGE", 0.0)
    for _ in range(2):
        assert await ask(limits)
    assert await tokens() < 90


async def test_callers_who_are_cancelled_lose_no_tokens(
    limits: RateLimitRepository,
    tokens: Tokens,
    raw: asyncpg.Connection,
    until_waiting: UntilWaiting,
) -> None:
    """The round trip goes on without them, and the next one to come spends what it brings."""
    await limits.consume("ada", "/chat", limit=100, window=MONTH)
    async with raw.transaction():
        await raw.execute("SELECT FROM rate_limits FOR UPDATE")
        callers = [asyncio.ensure_future(ask(limits)) for _ in range(5)]
        await until_waiting()
        for caller in callers:
            caller.cancel()
        assert all(
            isinstance(end, asyncio.CancelledError)
            for end in await asyncio.gather(*callers, return_exceptions=True)
        )
    assert (await ask(limits)).remaining == 98
    assert await tokens() == 89


async def test_one_who_is_cancelled_does_not_take_the_others_along(
    limits: RateLimitRepository, raw: asyncpg.Connection, until_waiting: UntilWaiting
) -> None:
    await limits.consume("ada", "/chat", limit=100, window=MONTH)
    async with raw.transaction():
        await raw.execute("SELECT FROM rate_limits FOR UPDATE")
        first, second = (asyncio.ensure_future(ask(limits)) for _ in range(2))
        await until_waiting()
        first.cancel()
    assert (await second).allowed


async def test_a_round_trip_that_fails_fails_for_all_and_the_next_one_works(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, raw: asyncpg.Connection
) -> None:
    db = await digitwin_db_factory(digitwin_url, lock_timeout=0.05)
    await db.limits.consume("ada", "/chat", limit=100, window=MONTH)
    async with raw.transaction():
        await raw.execute("SELECT FROM rate_limits FOR UPDATE")
        ends = await asyncio.gather(*(ask(db.limits) for _ in range(5)), return_exceptions=True)
        assert [type(end) for end in ends] == [QueryTimeoutError] * 5
    assert (await ask(db.limits)).remaining == 98


async def test_a_handle_that_closes_waits_for_a_round_trip_and_gives_it_back(
    digitwin_url: str,
    digitwin_db_factory: DatabaseFactory,
    tokens: Tokens,
    raw: asyncpg.Connection,
    until_waiting: UntilWaiting,
) -> None:
    db = await digitwin_db_factory(digitwin_url)
    await db.limits.consume("ada", "/chat", limit=100, window=MONTH)
    async with raw.transaction():
        await raw.execute("SELECT FROM rate_limits FOR UPDATE")
        caller = asyncio.ensure_future(ask(db.limits))
        await until_waiting()
        caller.cancel()
        await asyncio.wait([caller])
        closing = asyncio.ensure_future(db.close())
        await asyncio.sleep(0)
    await closing
    assert await tokens() == 99


async def test_a_refusal_is_remembered_for_a_while(
    limits: RateLimitRepository, raw: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hot key that is denied does not hammer the database."""
    monkeypatch.setattr(leases, "REFUSAL_AGE", 3600.0)
    await limits.consume("ada", "/chat", limit=100, window=MONTH, cost=100)
    refused = await ask(limits)
    assert not refused
    await raw.execute("ALTER TABLE rate_limits RENAME TO elsewhere")
    for _ in range(3):
        again = await ask(limits)
        assert (again.allowed, again.remaining) == (False, 0)
        assert 0 < again.retry_after <= refused.retry_after
    with pytest.raises(RateLimitedError):
        await limits.require("ada", "/chat", **HOT)


async def test_many_who_are_refused_at_once_share_one_answer(
    digitwin_db: Database, raw: asyncpg.Connection, until_waiting: UntilWaiting
) -> None:
    limits = digitwin_db.limits
    await limits.consume("ada", "/chat", limit=100, window=MONTH, cost=100)
    async with raw.transaction():
        await raw.execute("SELECT FROM rate_limits FOR UPDATE")
        callers = [asyncio.ensure_future(ask(limits)) for _ in range(50)]
        await until_waiting()
        assert (await digitwin_db.health()).pool.in_use == 1
    assert not any(await gathered(callers))


async def test_who_waits_as_told_is_allowed(limits: RateLimitRepository) -> None:
    """The memory never denies for longer than it says."""
    quick = {"limit": 10, "window": 0.5, "lease": 10}
    assert await limits.consume("ada", "/chat", **quick, cost=10)
    refused = 0
    async with asyncio.timeout(10):
        while refused < 5:
            decision = await limits.consume("ada", "/chat", **quick)
            if not decision:
                refused += 1
                await asyncio.sleep(decision.retry_after)
                assert await limits.consume("ada", "/chat", **quick)


async def test_a_reset_forgets_what_this_process_holds_and_was_refused(
    limits: RateLimitRepository, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "REFUSAL_AGE", 3600.0)
    await ask(limits, cost=95)
    assert not await ask(limits, cost=50)
    assert await limits.reset("ada", "/chat", window=MONTH) == 1
    assert (await ask(limits, cost=50)).remaining == 50
    assert await tokens() == 50
    await ask(limits, cost=2)
    await limits.reset("ada")
    assert (await ask(limits)).remaining == 99
    assert await tokens() == 90


async def test_another_limit_has_a_lease_of_its_own(limits: RateLimitRepository) -> None:
    assert await ask(limits)
    decision = await limits.consume("ada", "/chat", limit=1000, window=MONTH, lease=10)
    assert (decision.limit, decision.remaining) == (1000, 899)


async def test_calls_without_a_lease_ask_the_bucket(
    limits: RateLimitRepository, tokens: Tokens
) -> None:
    await ask(limits)
    plain = await limits.consume("ada", "/chat", limit=100, window=MONTH)
    assert plain.remaining == 89
    assert await tokens() == 89


async def test_usage_knows_every_decision(
    limits: RateLimitRepository, other: RateLimitRepository
) -> None:
    decisions = await gathered(ask(limits) for _ in range(150))
    [usage] = await limits.usage()
    assert (usage.allowed, usage.denied) == (100, 50)
    assert sum(map(bool, decisions)) == 100


async def test_within_a_transaction_it_stands_aside(digitwin_db: Database, tokens: Tokens) -> None:
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            assert await ask(digitwin_db.limits)
            raise ZeroDivisionError
    assert await tokens() == 90
    assert (await ask(digitwin_db.limits)).remaining == 98


async def test_too_many_leases_are_not_kept(
    limits: RateLimitRepository, monkeypatch: pytest.MonkeyPatch, raw: asyncpg.Connection
) -> None:
    monkeypatch.setattr(leases, "MAX_LEASES", 2)
    for n in range(4):
        await limits.consume(f"s{n}", "/chat", **HOT)
    held = await raw.fetch("SELECT tokens FROM rate_limits ORDER BY subject")
    assert [row["tokens"] for row in held] == [90, 90, 99, 99]


async def test_a_closed_handle_answers_nothing_from_memory(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory
) -> None:
    db = await digitwin_db_factory(digitwin_url)
    await ask(db.limits)
    closing = asyncio.ensure_future(db.close())
    while not db._core.closing:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0)
    with pytest.raises(ClosedError):
        await ask(db.limits)
    await closing
    with pytest.raises(ClosedError):
        await ask(db.limits)


@pytest.mark.parametrize("lease", [0, -1, 101, 1.0, True, "10", float("nan")])
async def test_a_bad_lease_is_named(
    limits: RateLimitRepository, raw: asyncpg.Connection, lease: Any
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await ask(limits, lease=lease)
    assert refused.value.details["field"] == "lease"
    assert await raw.fetchval("SELECT count(*) FROM rate_limits") == 0
