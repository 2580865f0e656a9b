"""Several limits pass or fail as one."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.limits.decision import Ask
from digitwin.limits.repository import RateLimitRepository
from tests.integration.limits.conftest import MONTH, Elapse, gathered
from tests.support.waiting import UntilWaiting

DAY = 86_400
PER_DAY, PER_MONTH = Ask("ada", "/chat", 5, DAY), Ask("ada", "/chat", 8, MONTH)
EVERYBODY = Ask("everybody", "/chat", 100, MONTH, 2)


async def left(limits: RateLimitRepository, ask: Ask) -> int:
    return (
        await limits.peek(ask.subject, ask.endpoint, limit=ask.limit, window=ask.window)
    ).remaining


async def test_all_of_them_pass_together(limits: RateLimitRepository) -> None:
    joint = await limits.consume_all([EVERYBODY, PER_DAY, PER_MONTH])
    assert joint
    assert joint.asks == (EVERYBODY, PER_DAY, PER_MONTH)
    assert [(each.limit, each.remaining) for each in joint] == [(100, 98), (5, 4), (8, 7)]
    assert (joint.remaining, joint.retry_after, joint.refused) == (4, 0, ())


async def test_none_is_taken_when_one_is_not_there(limits: RateLimitRepository) -> None:
    for _ in range(5):
        assert await limits.consume_all([PER_DAY, PER_MONTH])
    joint = await limits.consume_all([EVERYBODY, PER_DAY, PER_MONTH])
    assert not joint
    assert joint.refused == (PER_DAY,)
    assert [bool(each) for each in joint] == [True, False, True]
    assert joint.retry_after == joint[1].retry_after == pytest.approx(DAY / 5, rel=1e-3)
    assert [await left(limits, ask) for ask in joint.asks] == [100, 0, 3]


async def test_a_refusal_makes_no_row(limits: RateLimitRepository, raw: asyncpg.Connection) -> None:
    await limits.consume("ada", "/chat", limit=5, window=DAY, cost=5)
    assert not await limits.consume_all([PER_DAY, PER_MONTH])
    assert await raw.fetchval("SELECT count(*) FROM rate_limits") == 1


async def test_every_one_that_refuses_is_named(limits: RateLimitRepository) -> None:
    for ask in (PER_DAY, PER_MONTH):
        await limits.consume("ada", "/chat", limit=ask.limit, window=ask.window, cost=ask.limit)
    joint = await limits.consume_all([PER_MONTH, EVERYBODY, PER_DAY])
    assert joint.refused == (PER_MONTH, PER_DAY)
    assert joint.retry_after == pytest.approx(MONTH / 8, rel=1e-3)


async def test_who_waits_as_told_passes(limits: RateLimitRepository, elapse: Elapse) -> None:
    for _ in range(5):
        await limits.consume_all([PER_DAY, PER_MONTH])
    await elapse((await limits.consume_all([PER_DAY, PER_MONTH])).retry_after)
    assert await limits.consume_all([PER_DAY, PER_MONTH])


async def test_they_are_the_buckets_of_consume(limits: RateLimitRepository) -> None:
    await limits.consume("ada", "/chat", limit=5, window=DAY, cost=2)
    assert (await limits.consume_all([PER_DAY, PER_MONTH])).remaining == 2
    assert await limits.consume("ada", "/chat", limit=5, window=DAY, cost=2)


async def test_another_limit_keeps_a_bucket_as_full_as_it_was(
    limits: RateLimitRepository,
) -> None:
    await limits.consume("ada", "/chat", limit=10, window=DAY, cost=4)
    joint = await limits.consume_all([Ask("ada", "/chat", 100, DAY)])
    assert joint[0].remaining == 59


async def test_a_bucket_in_debt_refuses_and_says_for_how_long(
    limits: RateLimitRepository,
) -> None:
    reservation = await limits.reserve("ada", "/chat", limit=5, window=DAY, cost=5)
    await reservation.settle(7)
    joint = await limits.consume_all([PER_DAY, PER_MONTH])
    assert joint.refused == (PER_DAY,)
    assert joint.retry_after == pytest.approx(3 * DAY / 5, rel=1e-3)


async def test_a_clock_that_goes_back_grants_nothing(
    limits: RateLimitRepository, elapse: Elapse
) -> None:
    await limits.consume_all([PER_DAY])
    await elapse(-DAY / 2)
    assert (await limits.consume_all([PER_DAY])).remaining == 3
    await elapse(DAY / 2)
    assert await left(limits, PER_DAY) == 3


@pytest.mark.parametrize("warm", [True, False])
async def test_opposite_orders_at_once_do_not_block_each_other(
    limits: RateLimitRepository, other: RateLimitRepository, warm: bool
) -> None:
    """Without one order for all, the server would end some with a deadlock."""
    for _ in range(10):
        asks = [Ask(f"s{n}", "/chat", 10_000, MONTH) for n in range(12)]
        if warm:
            await limits.consume_all(asks)
        orders = [asks, asks[::-1], random.sample(asks, 12), random.sample(asks, 12)]
        await gathered(
            (limits, other)[n % 2].consume_all(orders[n % 4][: 6 + n % 6]) for n in range(16)
        )
        for ask in asks:
            await limits.reset(ask.subject)


async def test_half_of_them_new_in_every_order_at_once(
    limits: RateLimitRepository, other: RateLimitRepository
) -> None:
    """Rows that are there and rows that are made, locked by others as well one by one."""
    asks = [Ask(f"s{n}", "/chat", 10_000, MONTH) for n in range(8)]

    async def one(ask: Ask) -> Any:
        return await limits.consume(ask.subject, "/chat", limit=10_000, window=MONTH)

    for _ in range(10):
        for ask in asks[::2]:
            await limits.reset(ask.subject)
        await gathered(
            [
                *(limits.consume_all(random.sample(asks, 8)) for _ in range(6)),
                *(other.consume_all(asks[::-1]) for _ in range(6)),
                *(one(ask) for ask in asks),
            ]
        )


@pytest.mark.parametrize("warm", [True, False])
async def test_at_once_exactly_as_many_pass_as_the_smallest_holds(
    limits: RateLimitRepository, other: RateLimitRepository, warm: bool
) -> None:
    small, large = Ask("ada", "/chat", 20, DAY), Ask("all", "/chat", 500, MONTH, 3)
    if warm:
        for ask in (small, large):
            await limits.consume(ask.subject, "/chat", limit=ask.limit, window=ask.window)
    joints = await gathered(
        each.consume_all(asks)
        for each in (limits, other)
        for asks in ([small, large], [large, small])
        for _ in range(20)
    )
    passed = sum(map(bool, joints))
    assert passed == (19 if warm else 20)
    assert await left(limits, small) == 0
    assert await left(limits, large) == 500 - 3 * passed - warm


async def test_beside_single_calls_nothing_is_taken_twice(
    limits: RateLimitRepository, other: RateLimitRepository
) -> None:
    async def single() -> bool:
        return bool(await other.consume("ada", "/chat", limit=5, window=DAY))

    async def joint() -> bool:
        return bool(await limits.consume_all([PER_DAY, PER_MONTH]))

    passed = await gathered([f() for _ in range(10) for f in (single, joint)])
    assert sum(passed) == 5
    assert await left(limits, PER_MONTH) == 8 - sum(passed[1::2])


async def test_it_waits_for_a_decision_under_way_and_sees_what_it_took(
    limits: RateLimitRepository, raw: asyncpg.Connection, until_waiting: UntilWaiting
) -> None:
    await limits.consume_all([PER_DAY])
    async with raw.transaction():
        await raw.execute("UPDATE rate_limits SET tokens = 1")
        joints = [asyncio.ensure_future(limits.consume_all([PER_DAY])) for _ in range(3)]
        await until_waiting(3)
    assert sum([bool(await joint) for joint in joints]) == 1


INSERT = """
    INSERT INTO rate_limits (subject, endpoint, window_ms, max_tokens, tokens)
    VALUES ($1, '/chat', 86400000, 5, 0)
"""
LOCK = "SELECT FROM rate_limits WHERE subject = $1 FOR UPDATE NOWAIT"


async def test_a_bucket_that_another_makes_meanwhile_is_the_one_that_counts(
    limits: RateLimitRepository, raw: asyncpg.Connection, until_waiting: UntilWaiting
) -> None:
    """Nothing is taken of the others either, nor twice when it is asked for again."""
    for tokens, there in ((0, False), (5, True)):
        async with raw.transaction():
            await raw.execute(INSERT, "ada")
            await raw.execute("UPDATE rate_limits SET tokens = $1", tokens)
            joint = asyncio.ensure_future(limits.consume_all([PER_MONTH, PER_DAY]))
            await until_waiting()
        assert bool(await joint) is there
        assert await left(limits, PER_DAY) == (4 if there else 0)
        assert await left(limits, PER_MONTH) == (7 if there else 8)
        await limits.reset("ada")


@pytest.mark.parametrize("warm", [True, False])
async def test_who_waits_for_one_bucket_holds_none_that_comes_after_it(
    limits: RateLimitRepository, raw: asyncpg.Connection, until_waiting: UntilWaiting, warm: bool
) -> None:
    """Rows that are there and rows that are made are taken in the order of their key."""
    asks = [Ask(subject, "/chat", 5, DAY) for subject in ("b", "a", "c")]
    if warm:
        await limits.consume_all(asks)
    async with raw.transaction():
        await raw.execute(LOCK if warm else INSERT, "a")
        joint = asyncio.ensure_future(limits.consume_all(asks))
        await until_waiting()
        for subject in ("b", "c"):
            await raw.execute(LOCK if warm else INSERT, subject)
    assert bool(await joint) is warm


async def test_it_stands_aside_of_transactions(digitwin_db: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await digitwin_db.limits.consume_all([PER_DAY])
            raise ZeroDivisionError
    assert await left(digitwin_db.limits, PER_DAY) == 4


async def test_each_endpoint_is_counted_once(limits: RateLimitRepository) -> None:
    """Allowed when all were; denied where the tokens were missing."""
    voice = Ask("ada", "/voice", 100, DAY)
    for _ in range(7):
        await limits.consume_all([PER_DAY, PER_MONTH, voice])
    usage = {each.endpoint: (each.allowed, each.denied) for each in await limits.usage()}
    assert usage == {"/chat": (5, 2), "/voice": (5, 0)}


async def test_bad_input_sends_nothing(
    limits: RateLimitRepository, raw: asyncpg.Connection
) -> None:
    for asks in ([], [PER_DAY, Ask("ada", "/chat", 0, 1)], [PER_DAY, PER_DAY]):
        with pytest.raises(InvalidInputError):
            await limits.consume_all(asks)
    assert await raw.fetchval("SELECT count(*) FROM rate_limits") == 0


async def test_a_hundred_fit(limits: RateLimitRepository) -> None:
    asks = [Ask("ada", f"/{n}", 2, MONTH) for n in range(100)]
    assert [len(await limits.consume_all(asks[::step])) for step in (1, -1)] == [100, 100]
    assert len((await limits.consume_all(asks)).refused) == 100
