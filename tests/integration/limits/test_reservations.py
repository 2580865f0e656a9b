"""An estimate is taken at once; what was needed in the end is settled exactly, once."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from digitwin.connecting import connect
from digitwin.errors import (
    ClosedError,
    InvalidInputError,
    InvalidStateError,
    QueryTimeoutError,
)
from digitwin.limits.repository import RateLimitRepository
from digitwin.limits.reservation import Reservation
from digitwin.testing import DatabaseFactory
from tests.integration.limits.conftest import MONTH, Elapse, gathered

LLM: dict[str, Any] = {"limit": 1000, "window": MONTH}
TOKEN = MONTH / 1000
"""Seconds in which one comes back."""


async def reserved(limits: RateLimitRepository, cost: int) -> Reservation:
    return await limits.reserve("ada", "llm", **LLM, cost=cost)


async def left(limits: RateLimitRepository) -> int:
    return (await limits.peek("ada", "llm", **LLM)).remaining


async def test_the_estimate_is_taken_at_once(limits: RateLimitRepository) -> None:
    reservation = await reserved(limits, 300)
    assert reservation
    assert (reservation.allowed, reservation.decision.remaining) == (True, 700)
    assert await left(limits) == 700


@pytest.mark.parametrize(("actual", "remaining"), [(300, 700), (100, 900), (450, 550), (0, 1000)])
async def test_the_difference_is_given_back_or_taken(
    limits: RateLimitRepository, actual: int, remaining: int
) -> None:
    reservation = await reserved(limits, 300)
    decision = await reservation.settle(actual)
    assert (decision.allowed, decision.remaining, decision.limit) == (True, remaining, 1000)
    assert await left(limits) == remaining


async def test_cancelling_gives_all_of_it_back(limits: RateLimitRepository) -> None:
    assert (await (await reserved(limits, 300)).cancel()).remaining == 1000
    assert await left(limits) == 1000


async def test_what_is_not_there_takes_nothing(limits: RateLimitRepository) -> None:
    await reserved(limits, 900)
    refused = await reserved(limits, 101)
    assert not refused
    assert refused.decision.retry_after == pytest.approx(TOKEN, rel=1e-3)
    for change in (refused.settle(5), refused.cancel()):
        with pytest.raises(InvalidStateError, match="refused"):
            await change
    assert await left(limits) == 100


async def test_once_is_enough(limits: RateLimitRepository) -> None:
    settled, cancelled = await reserved(limits, 100), await reserved(limits, 100)
    await settled.settle(50)
    await cancelled.cancel()
    for change in (settled.settle(50), settled.cancel(), cancelled.settle(1), cancelled.cancel()):
        with pytest.raises(InvalidStateError, match="before"):
            await change
    assert await left(limits) == 950


async def test_two_tasks_that_settle_one_reservation(limits: RateLimitRepository) -> None:
    reservation = await reserved(limits, 100)
    answers = await asyncio.gather(
        *(reservation.cancel() for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(answer, InvalidStateError) for answer in answers) == 4
    assert await left(limits) == 1000


async def test_nothing_fills_it_over(limits: RateLimitRepository, elapse: Elapse) -> None:
    reservation = await reserved(limits, 600)
    await elapse(MONTH)
    assert (await reservation.cancel()).remaining == 1000
    assert (await limits.consume("ada", "llm", **LLM, cost=1000)).remaining == 0


async def test_what_is_missing_is_waited_off_by_those_who_come_later(
    limits: RateLimitRepository, elapse: Elapse
) -> None:
    """Two hundred are owed: they come back before the first new one does."""
    decision = await (await reserved(limits, 900)).settle(1200)
    assert decision.remaining == 0
    assert decision.reset_after == pytest.approx(1200 * TOKEN, rel=1e-6)

    refused = await limits.consume("ada", "llm", **LLM, cost=10)
    assert (refused.allowed, refused.remaining) == (False, 0)
    assert refused.retry_after == pytest.approx(210 * TOKEN, rel=1e-6)
    assert (await limits.peek("ada", "llm", **LLM, cost=10)).retry_after == pytest.approx(
        210 * TOKEN, rel=1e-6
    )
    await elapse(refused.retry_after - 1)
    refused = await limits.consume("ada", "llm", **LLM, cost=10)
    assert not refused
    assert 0 < refused.retry_after <= 1.001
    await elapse(refused.retry_after)
    assert await limits.consume("ada", "llm", **LLM, cost=10)


async def test_what_is_given_back_pays_the_debt_first(limits: RateLimitRepository) -> None:
    early = await reserved(limits, 500)
    await (await reserved(limits, 500)).settle(700)
    assert (await limits.peek("ada", "llm", **LLM)).retry_after == pytest.approx(
        201 * TOKEN, rel=1e-6
    )
    assert (await early.settle(200)).remaining == 100


async def test_a_debt_adds_up_and_is_never_more_than_one_window(
    limits: RateLimitRepository,
) -> None:
    reservations = [await reserved(limits, 100) for _ in range(3)]
    assert (await reservations[0].settle(1100)).reset_after == pytest.approx(1300 * TOKEN, rel=1e-6)
    assert (await reservations[1].settle(400)).reset_after == pytest.approx(1600 * TOKEN, rel=1e-6)
    last = await reservations[2].settle(1_000_000_000)
    assert last.reset_after == pytest.approx(2 * MONTH, rel=1e-6)


async def test_the_constraints_of_the_table_hold_in_debt(
    limits: RateLimitRepository, raw: asyncpg.Connection
) -> None:
    await (await reserved(limits, 900)).settle(1900)
    row = await raw.fetchrow("SELECT tokens, updated_at - now() AS ahead FROM rate_limits")
    assert row["tokens"] == 0
    assert row["ahead"].total_seconds() == pytest.approx(900 * TOKEN, rel=1e-6)


async def test_a_bucket_in_debt_is_not_cleared_away(
    limits: RateLimitRepository, elapse: Elapse
) -> None:
    await (await reserved(limits, 900)).settle(2000)
    await elapse(2 * MONTH - 60)
    assert await limits.purge(0) == 0
    await elapse(61)
    assert await limits.purge(0) == 1


async def test_another_limit_meanwhile_changes_the_shares_only(
    limits: RateLimitRepository,
) -> None:
    """Half of it was taken, half of that comes back."""
    reservation = await reserved(limits, 500)
    assert (await limits.peek("ada", "llm", limit=100, window=MONTH)).remaining == 50
    await limits.consume("ada", "llm", limit=100, window=MONTH, cost=10)
    assert (await reservation.settle(250)).remaining == 650
    assert (await limits.peek("ada", "llm", limit=100, window=MONTH)).remaining == 65


async def test_a_clock_that_went_back_grants_nothing(
    limits: RateLimitRepository, elapse: Elapse
) -> None:
    reservation = await reserved(limits, 300)
    await elapse(-MONTH / 2)
    assert (await reservation.settle(500)).remaining == 500
    await elapse(MONTH / 2)
    assert await left(limits) == 500


async def test_a_bucket_that_was_reset_stays_full(limits: RateLimitRepository) -> None:
    reservation = await reserved(limits, 300)
    await limits.reset("ada")
    assert (await reservation.settle(500)).remaining == 1000
    assert await left(limits) == 1000


async def test_a_block_settles_within(limits: RateLimitRepository) -> None:
    async with limits.reserve("ada", "llm", **LLM, cost=300) as reservation:
        assert reservation
        await reservation.settle(100)
    assert await left(limits) == 900


async def test_a_block_that_does_not_settle_keeps_the_estimate(
    limits: RateLimitRepository,
) -> None:
    async with limits.reserve("ada", "llm", **LLM, cost=300):
        pass
    async with await limits.reserve("ada", "llm", **LLM, cost=300):
        pass
    assert await left(limits) == 400


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
async def test_a_block_that_raises_gives_it_back_unless_it_was_settled(
    limits: RateLimitRepository, error: type[BaseException], settled: bool
) -> None:
    for reserving in (limits.reserve("ada", "llm", **LLM, cost=300), await reserved(limits, 300)):
        with pytest.raises(error):
            async with reserving as reservation:
                if settled:
                    await reservation.settle(200)
                raise error
    assert await left(limits) == (600 if settled else 1000)


async def test_a_refused_block_runs_and_gives_nothing_back(limits: RateLimitRepository) -> None:
    await reserved(limits, 900)
    with pytest.raises(ZeroDivisionError):
        async with limits.reserve("ada", "llm", **LLM, cost=300) as reservation:
            assert not reservation
            raise ZeroDivisionError
    assert await left(limits) == 100


async def test_it_stands_aside_of_transactions(digitwin_db_factory: DatabaseFactory) -> None:
    db = await digitwin_db_factory(pool_max=2)
    with pytest.raises(ZeroDivisionError):
        async with db.transaction():
            reservation = await reserved(db.limits, 300)
            await reservation.settle(200)
            raise ZeroDivisionError
    assert await left(db.limits) == 800


async def test_many_that_settle_at_once_lose_nothing(
    limits: RateLimitRepository, other: RateLimitRepository
) -> None:
    async def work(n: int) -> int:
        reservation = await reserved((limits, other)[n % 2], 20)
        if not reservation:
            return 0
        actual = 10 + n % 15
        await reservation.settle(actual)
        return actual

    used = sum(await gathered(work(n) for n in range(60)))
    assert await left(limits) == 1000 - used


async def test_a_settlement_the_database_refused_can_be_tried_again(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, raw: asyncpg.Connection
) -> None:
    db = await digitwin_db_factory(digitwin_url, lock_timeout=0.05)
    reservation = await reserved(db.limits, 300)
    async with raw.transaction():
        await raw.execute("SELECT FROM rate_limits FOR UPDATE")
        with pytest.raises(QueryTimeoutError):
            await reservation.settle(100)
    assert (await reservation.settle(100)).remaining == 900


async def test_a_block_keeps_its_own_error_when_it_cannot_give_back(
    digitwin_url: str,
    digitwin_db_factory: DatabaseFactory,
    raw: asyncpg.Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    db = await digitwin_db_factory(digitwin_url, lock_timeout=0.05)
    async with raw.transaction():
        with pytest.raises(ZeroDivisionError):
            async with db.limits.reserve("ada", "llm", **LLM, cost=300):
                await raw.execute("SELECT FROM rate_limits FOR UPDATE")
                raise ZeroDivisionError
    assert "could not be cancelled" in caplog.text


async def test_a_closed_handle_settles_nothing(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory
) -> None:
    db = await digitwin_db_factory(digitwin_url)
    reservation = await reserved(db.limits, 300)
    await db.close()
    with pytest.raises(ClosedError):
        await reservation.settle(1)


@pytest.mark.parametrize("actual", [-1, 1.0, True, "1", None, 1_000_000_001])
async def test_a_bad_number_is_named_and_the_reservation_stays(
    limits: RateLimitRepository, actual: Any
) -> None:
    reservation = await reserved(limits, 300)
    with pytest.raises(InvalidInputError) as refused:
        await reservation.settle(actual)
    assert refused.value.details["field"] == "actual"
    assert (await reservation.settle(100)).remaining == 900


@pytest.mark.parametrize("cost", [0, 1001, True, None])
async def test_a_bad_estimate_is_named(limits: RateLimitRepository, cost: Any) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await limits.reserve("ada", "llm", **LLM, cost=cost)
    assert refused.value.details["field"] == "cost"


async def test_it_counts_as_one_decision(limits: RateLimitRepository) -> None:
    await (await reserved(limits, 900)).settle(800)
    await reserved(limits, 900)
    [usage] = await limits.usage()
    assert (usage.endpoint, usage.allowed, usage.denied) == ("llm", 1, 1)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(st.floats(0, 0.8), st.integers(1, 1000), st.integers(0, 2500)),
        min_size=1,
        max_size=12,
    )
)
def test_it_does_what_the_textbook_says(
    digitwin_url: str, steps: list[tuple[float, int, int]]
) -> None:
    """Part of a month that passes, estimate, actual: against arithmetic below zero."""
    asyncio.run(_follow(digitwin_url, steps))


async def _follow(url: str, steps: list[tuple[float, int, int]]) -> None:
    raw = await asyncpg.connect(url)
    await raw.execute("TRUNCATE rate_limits")
    async with connect(url, migrate="skip", pool_min=0) as db:
        held = 1000.0
        for part, cost, actual in steps:
            await raw.execute(
                "UPDATE rate_limits SET updated_at = updated_at - make_interval(secs => $1)",
                part * MONTH,
            )
            held = min(1000.0, held + part * 1000)
            if abs(held - cost) < 0.1:  # too close for what passes during the test
                continue
            reservation = await reserved(db.limits, cost)
            assert reservation.allowed == (held >= cost)
            if reservation:
                held = max(-1000.0, min(1000.0, held - actual))
                decision = await reservation.settle(actual)
                assert decision.reset_after == pytest.approx((1000 - held) * TOKEN, abs=60)
    await raw.close()
