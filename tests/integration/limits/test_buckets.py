"""One bucket: full at first, emptied by calls, refilled evenly by the database clock."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from digitwin.connecting import connect
from digitwin.errors import RateLimitedError
from digitwin.limits.decision import Decision
from digitwin.limits.repository import RateLimitRepository
from tests.integration.limits.conftest import MONTH, Elapse, Tokens

ADA = UUID(int=0xADA)
CHAT: dict[str, Any] = {"limit": 10, "window": MONTH}
SECOND = MONTH / 10
"""In which one token of ``CHAT`` comes back."""


async def test_a_new_bucket_is_full(limits: RateLimitRepository) -> None:
    decision = await limits.consume("ada", "/chat", **CHAT)
    assert (decision.allowed, bool(decision)) == (True, True)
    assert (decision.limit, decision.remaining, decision.retry_after) == (10, 9, 0)
    assert decision.reset_after == pytest.approx(SECOND, rel=1e-6)


async def test_an_empty_bucket_refuses_and_says_when_to_come_back(
    limits: RateLimitRepository,
) -> None:
    assert await limits.consume("ada", "/chat", **CHAT, cost=10)
    decision = await limits.consume("ada", "/chat", **CHAT, cost=3)
    assert (decision.allowed, bool(decision), decision.remaining) == (False, False, 0)
    assert decision.retry_after == pytest.approx(3 * SECOND, rel=1e-6)
    assert decision.reset_after == pytest.approx(MONTH, rel=1e-6)


async def test_a_refusal_takes_nothing(limits: RateLimitRepository) -> None:
    await limits.consume("ada", "/chat", **CHAT, cost=6)
    assert not await limits.consume("ada", "/chat", **CHAT, cost=5)
    assert await limits.consume("ada", "/chat", **CHAT, cost=4)


async def test_it_refills_evenly_and_never_over_its_limit(
    limits: RateLimitRepository, elapse: Elapse
) -> None:
    await limits.consume("ada", "/chat", **CHAT, cost=10)
    seen = []
    for _ in range(4):
        await elapse(MONTH / 4)
        seen.append((await limits.peek("ada", "/chat", **CHAT)).remaining)
    await elapse(MONTH)
    seen.append((await limits.peek("ada", "/chat", **CHAT)).remaining)
    assert seen == [2, 5, 7, 10, 10]


@pytest.mark.parametrize("cost", [1, 7, 10])
async def test_who_waits_exactly_as_told_is_allowed(
    limits: RateLimitRepository, elapse: Elapse, cost: int
) -> None:
    await limits.consume("ada", "/chat", **CHAT, cost=10)
    told = (await limits.peek("ada", "/chat", **CHAT, cost=cost)).retry_after
    await elapse(told - 1)
    refused = await limits.consume("ada", "/chat", **CHAT, cost=cost)
    assert not refused
    assert 0 < refused.retry_after <= 1.001
    await elapse(refused.retry_after)
    assert await limits.consume("ada", "/chat", **CHAT, cost=cost)


async def test_it_is_full_when_it_said_it_would_be(
    limits: RateLimitRepository, elapse: Elapse
) -> None:
    await limits.consume("ada", "/chat", **CHAT, cost=6)
    await elapse((await limits.peek("ada", "/chat", **CHAT)).reset_after)
    assert (await limits.peek("ada", "/chat", **CHAT)).reset_after == 0
    assert await limits.consume("ada", "/chat", **CHAT, cost=10)


async def test_remaining_is_rounded_down(limits: RateLimitRepository, elapse: Elapse) -> None:
    await limits.consume("ada", "/chat", **CHAT, cost=10)
    await elapse(SECOND * 1.99)
    decision = await limits.peek("ada", "/chat", **CHAT, cost=2)
    assert (decision.allowed, decision.remaining) == (False, 1)


async def test_a_clock_that_goes_back_grants_nothing(
    limits: RateLimitRepository, elapse: Elapse
) -> None:
    await limits.consume("ada", "/chat", **CHAT, cost=8)
    await elapse(-MONTH)
    assert (await limits.peek("ada", "/chat", **CHAT)).remaining == 2
    assert (await limits.consume("ada", "/chat", **CHAT)).remaining == 1
    await elapse(MONTH)
    assert (await limits.peek("ada", "/chat", **CHAT)).remaining == 1


@pytest.mark.parametrize(("limit", "left"), [(100, 59), (5, 2), (1, 0), (10, 5)])
async def test_another_limit_keeps_it_as_full_as_it_was(
    limits: RateLimitRepository, limit: int, left: int
) -> None:
    await limits.consume("ada", "/chat", **CHAT, cost=4)
    peeked = await limits.peek("ada", "/chat", limit=limit, window=MONTH)
    assert peeked.remaining == limit * 6 // 10
    decision = await limits.consume("ada", "/chat", limit=limit, window=MONTH)
    assert (decision.limit, decision.remaining) == (limit, left)


async def test_a_second_and_a_month_stand_side_by_side(limits: RateLimitRepository) -> None:
    hour = {"limit": 2, "window": 3600}
    for _ in range(2):
        assert await limits.consume("ada", "/chat", **hour)
        assert await limits.consume("ada", "/chat", **CHAT)
    assert not await limits.consume("ada", "/chat", **hour)
    assert (await limits.consume("ada", "/chat", **CHAT)).remaining == 7


@pytest.mark.parametrize("change", [{"subject": "bob"}, {"endpoint": "/voice"}, {"window": 3600}])
async def test_another_subject_endpoint_or_window_is_another_bucket(
    limits: RateLimitRepository, change: dict[str, Any]
) -> None:
    one: dict[str, Any] = {"subject": "ada", "endpoint": "/chat", **CHAT}
    assert await limits.consume(**one, cost=10)
    assert await limits.consume(**one | change, cost=10)


async def test_a_persons_id_is_one_subject_however_it_is_spelt(
    limits: RateLimitRepository,
) -> None:
    for subject in (ADA, str(ADA), str(ADA).upper()):
        await limits.consume(subject, "/chat", **CHAT)
    assert (await limits.peek(ADA, "/chat", **CHAT)).remaining == 7


async def test_a_window_may_be_a_timedelta(limits: RateLimitRepository) -> None:
    await limits.consume("ada", "/chat", limit=10, window=timedelta(days=30))
    assert (await limits.peek("ada", "/chat", **CHAT)).remaining == 9


async def test_any_name_that_fits_is_a_subject(limits: RateLimitRepository) -> None:
    for subject in ("\N{GRINNING FACE}" * 200, "127.0.0.1", "O'Brien; DROP", "x" * 36):
        assert (await limits.consume(subject, "/chat", **CHAT)).remaining == 9
        assert (await limits.consume(subject, "/chat", **CHAT)).remaining == 8


async def test_the_extremes_of_limit_and_window_fit(limits: RateLimitRepository) -> None:
    for limit in (1, 1_000_000_000):
        for window in (0.001, 366 * 86_400):
            decision = await limits.consume("ada", f"{limit}", limit=limit, window=window)
            assert (decision.allowed, decision.limit) == (True, limit)


async def test_peek_takes_nothing_and_writes_nothing(
    limits: RateLimitRepository, raw: asyncpg.Connection
) -> None:
    for _ in range(3):
        assert await limits.peek("ada", "/chat", **CHAT) == Decision(True, 10, 10, 0.0, 0.0)
    assert await raw.fetchval("SELECT count(*) FROM rate_limits") == 0
    assert await limits.usage() == []


async def test_require_raises_with_the_decision(limits: RateLimitRepository) -> None:
    assert (await limits.require("ada", "/chat", **CHAT, cost=10)).remaining == 0
    with pytest.raises(RateLimitedError, match="/chat") as raised:
        await limits.require("ada", "/chat", **CHAT)
    decision = raised.value.decision
    assert isinstance(decision, Decision)
    assert (decision.allowed, decision.limit) == (False, 10)
    assert decision.retry_after == pytest.approx(SECOND, rel=1e-6)
    assert raised.value.retryable


async def test_reset_fills_what_it_names(limits: RateLimitRepository) -> None:
    hour = {"limit": 10, "window": 3600}
    for subject in ("ada", "bob"):
        for endpoint in ("/chat", "/voice"):
            await limits.consume(subject, endpoint, **CHAT)
            await limits.consume(subject, endpoint, **hour)

    assert await limits.reset("ada", "/chat", window=MONTH) == 1
    assert (await limits.peek("ada", "/chat", **CHAT)).remaining == 10
    assert (await limits.peek("ada", "/chat", **hour)).remaining == 9
    assert await limits.reset("ada", "/voice") == 2
    assert await limits.reset("ada") == 1
    assert await limits.reset("ada") == 0
    assert await limits.reset("bob", window=timedelta(hours=1)) == 2
    assert (await limits.peek("bob", "/chat", **CHAT)).remaining == 9


async def test_a_bucket_stays_within_its_constraints(
    limits: RateLimitRepository, tokens: Tokens, elapse: Elapse
) -> None:
    """What an administrator may rely on: 0 to limit, whatever the floats do."""
    for step in (0.1, 0.2, 0.7):
        await limits.consume("ada", "/chat", limit=3, window=MONTH, cost=3)
        await elapse(MONTH * step)
        assert 0 <= await tokens() <= 3


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from([1, 7, 60, 1000]), st.floats(0, 1.2), st.integers(1, 1000)),
        min_size=1,
        max_size=12,
    )
)
def test_it_does_what_the_textbook_says(
    digitwin_url: str, steps: list[tuple[int, float, int]]
) -> None:
    """Limit, part of a month that passes, cost: against a token bucket of ten lines."""
    asyncio.run(_follow(digitwin_url, steps))


async def _follow(url: str, steps: list[tuple[int, float, int]]) -> None:
    raw = await asyncpg.connect(url)
    await raw.execute("TRUNCATE rate_limits")
    async with connect(url, migrate="skip", pool_min=0) as db:
        share = 1.0
        for limit, part, cost in steps:
            await raw.execute(
                "UPDATE rate_limits SET updated_at = updated_at - make_interval(secs => $1)",
                part * MONTH,
            )
            share = min(1.0, share + part)
            cost = min(cost, limit)
            if abs(share * limit - cost) < 1e-2:  # too close for what passes during the test
                continue
            decision = await db.limits.consume("ada", "/chat", limit=limit, window=MONTH, cost=cost)
            assert decision.allowed == (share * limit >= cost)
            share -= cost / limit if decision else 0
            assert decision.reset_after == pytest.approx((1 - share) * MONTH, abs=60)
    await raw.close()
