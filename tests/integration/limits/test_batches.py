"""Calls that are decided in one statement: as exact as one by one, and no business of each other's.

Whatever of `consume` finds `AT_ONCE` decisions under way waits for the next statement.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from digitwin.connecting import connect
from digitwin.database import Database
from digitwin.errors import OutcomeUnknownError
from digitwin.kernel.connection import dsn
from digitwin.limits import fields
from digitwin.limits.buckets import AT_ONCE, Buckets
from digitwin.limits.decision import Ask, Decision
from digitwin.limits.fields import LimitCall
from digitwin.limits.repository import RateLimitRepository
from digitwin.testing import DatabaseFactory
from tests.faults.proxy import Proxy
from tests.integration.limits.conftest import MONTH, Elapse, Tokens, gathered
from tests.support.waiting import UntilWaiting

CHAT: dict[str, Any] = {"limit": 10, "window": MONTH}
PEOPLE = [f"person-{n}" for n in range(30)]


def call(subject: str, limit: int = 10, cost: int = 1) -> LimitCall:
    return fields.call(subject, "/chat", limit, MONTH, cost)


async def decided(buckets: Buckets, calls: Sequence[LimitCall]) -> list[Decision]:
    """Decide them as one batch, then alone what the batch leaves over, as callers do."""
    return [
        await buckets._consume(each) if decision is None else decision
        for each, decision in zip(calls, await buckets._consume_many(calls), strict=True)
    ]


Numbers = list[tuple[bool, int, int]]


def by_bucket(calls: Sequence[LimitCall], decisions: Sequence[Decision]) -> dict[str, Numbers]:
    found: dict[str, Numbers] = defaultdict(list)
    for each, decision in zip(calls, decisions, strict=True):
        found[each.bucket.subject].append((decision.allowed, decision.limit, decision.remaining))
    return found


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    batches=st.lists(
        st.lists(
            st.builds(
                call,
                st.sampled_from("ab"),
                st.sampled_from([20, 20, 9]),
                st.sampled_from([1, 1, 3]),
            ),
            min_size=1,
            max_size=14,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_batch_decides_as_one_by_one_does(
    digitwin_url: str, batches: list[list[LimitCall]]
) -> None:
    """In the order in which the calls came, with other limits and costs among them."""
    asyncio.run(_compare(digitwin_url, batches))


async def _compare(url: str, batches: list[list[LimitCall]]) -> None:
    raw = await asyncpg.connect(url)
    async with connect(url, migrate="skip", pool_min=0) as db:
        buckets, results = db.limits._buckets, []
        for together in (True, False):
            await raw.execute("TRUNCATE rate_limits")
            await buckets._consume(call("a", 20))  # while b is new
            found = []
            for calls in batches:
                if together:
                    decisions = await decided(buckets, calls)
                else:
                    decisions = [await buckets._consume(each) for each in calls]
                found.append(by_bucket(calls, decisions))
            results.append(found)
    await raw.close()
    assert results[0] == results[1]


async def test_each_of_many_is_told_its_own(
    limits: RateLimitRepository, elapse: Elapse, tokens: Tokens
) -> None:
    """What is left after each, when it may come back, and when the bucket is full again."""
    token = MONTH / 10
    await limits.consume("ada", "/chat", **CHAT, cost=10)
    await elapse(3.5 * token)
    buckets = limits._buckets
    decisions: list[Any] = await buckets._consume_many([call("ada")] * 5)
    assert [each.allowed for each in decisions] == [True, True, True, False, False]
    assert [each.remaining for each in decisions] == [2, 1, 0, 0, 0]
    assert [each.reset_after for each in decisions] == pytest.approx(
        [7.5 * token, 8.5 * token, 9.5 * token, 9.5 * token, 9.5 * token], rel=1e-4
    )
    assert [each.retry_after for each in decisions] == pytest.approx(
        [0, 0, 0, token / 2, token / 2], rel=1e-4
    )
    assert await tokens() == pytest.approx(0.5, abs=1e-2)


async def test_a_debt_counts_for_each(limits: RateLimitRepository) -> None:
    reservation = await limits.reserve("ada", "/chat", **CHAT, cost=10)
    await reservation.settle(15)
    alone = await limits.consume("ada", "/chat", **CHAT)
    decisions: list[Any] = await limits._buckets._consume_many([call("ada")] * 2)
    for each in decisions:
        assert (each.allowed, each.remaining) == (False, 0)
        assert each.retry_after == pytest.approx(alone.retry_after, rel=1e-3)
        assert each.reset_after == pytest.approx(alone.reset_after, rel=1e-3)


async def test_after_a_clock_that_was_ahead_one_window_is_waited(
    limits: RateLimitRepository, elapse: Elapse
) -> None:
    hour = fields.call("ada", "/chat", 10, 3600, 1)
    await limits._buckets._consume(hour._replace(cost=10))
    await elapse(-86_400)
    [first, _] = await limits._buckets._consume_many([hour] * 2)
    assert first is not None
    assert not first
    assert first.retry_after <= 3600 + 360 + 0.1
    await elapse(first.retry_after)
    [again] = await limits._buckets._consume_many([hour])
    assert again


async def test_a_clock_that_goes_back_grants_nothing(
    limits: RateLimitRepository, elapse: Elapse
) -> None:
    await limits.consume("ada", "/chat", **CHAT, cost=8)
    await elapse(-MONTH)
    [decision] = await limits._buckets._consume_many([call("ada")])
    assert decision is not None
    assert decision.remaining == 1
    await elapse(MONTH)
    assert (await limits.peek("ada", "/chat", **CHAT)).remaining == 1


async def test_many_at_once_get_what_is_there_and_no_more(
    limits: RateLimitRepository, other: RateLimitRepository
) -> None:
    """On ten buckets of ten tokens, some of which are new, from two handles."""
    for subject in PEOPLE[:5]:
        await limits.consume(subject, "/chat", **CHAT)
        await limits.reset(subject)
    decisions = await gathered(
        (limits, other)[n % 2].consume(PEOPLE[n % 10], "/chat", **CHAT) for n in range(300)
    )
    for place in range(10):
        left = sorted(decision.remaining for decision in decisions[place::10] if decision)
        assert left == list(range(10))


@pytest.fixture
async def known(limits: RateLimitRepository) -> RateLimitRepository:
    """With a bucket for each of them, and a connection for each decision under way."""
    await gathered(limits.consume(subject, "/chat", **CHAT) for subject in PEOPLE)
    return limits


async def test_most_of_many_at_once_share_statements(
    known: RateLimitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[int] = []
    together = known._buckets._batcher._many

    async def counted(calls: Sequence[LimitCall]) -> Any:
        statements.append(len(calls))
        return await together(calls)

    monkeypatch.setattr(known._buckets._batcher, "_many", counted)
    decisions = await gathered(known.consume(subject, "/chat", **CHAT) for subject in PEOPLE)
    assert [decision.remaining for decision in decisions] == [8] * 30
    assert sum(statements) == 30 - AT_ONCE
    assert len(statements) <= AT_ONCE


async def test_a_bucket_that_is_locked_delays_its_own_callers_alone(
    known: RateLimitRepository, raw: asyncpg.Connection, until_waiting: UntilWaiting
) -> None:
    """As by an erasure: nobody else waits for it, however many of its own do."""
    async with raw.transaction():
        await raw.execute("SELECT FROM rate_limits WHERE subject = $1 FOR UPDATE", PEOPLE[0])
        locked = [
            asyncio.create_task(known.consume(PEOPLE[0], "/chat", **CHAT))
            for _ in range(AT_ONCE + 2)
        ]
        await until_waiting(AT_ONCE)
        for _ in range(3):
            assert all(
                await gathered(known.consume(subject, "/chat", **CHAT) for subject in PEOPLE[1:])
            )
        assert not any(task.done() for task in locked)
    assert sorted([(await task).remaining for task in locked]) == [3, 4, 5, 6, 7, 8]


async def test_calls_to_one_bucket_wait_for_it_together(
    known: RateLimitRepository, raw: asyncpg.Connection, until_waiting: UntilWaiting
) -> None:
    """A hot bucket is locked by some process most of the time."""
    calls = [call(PEOPLE[0])] * 12
    async with raw.transaction():
        await raw.execute("UPDATE rate_limits SET tokens = 5 WHERE subject = $1", PEOPLE[0])
        together = asyncio.create_task(known._buckets._consume_many(calls))
        await until_waiting()
    decisions = [decision for decision in await together if decision is not None]
    assert [decision.allowed for decision in decisions] == [True] * 5 + [False] * 7


async def test_who_is_cancelled_falsifies_nobodys_decision(
    known: RateLimitRepository,
) -> None:
    chance = random.Random(1)
    for _ in range(20):
        subjects = [chance.choice(PEOPLE[:6]) for _ in range(40)]
        tasks = [
            asyncio.create_task(known.consume(subject, "/chat", limit=1000, window=MONTH))
            for subject in subjects
        ]
        for task in chance.sample(tasks, 15):
            for _ in range(chance.randrange(3)):
                await asyncio.sleep(0)
            task.cancel()
        decisions = await asyncio.gather(*tasks, return_exceptions=True)
        for subject in PEOPLE[:6]:
            own = [
                each.remaining
                for each, whose in zip(decisions, subjects, strict=True)
                if whose == subject and not isinstance(each, BaseException)
            ]
            assert len({*own}) == len(own)  # no token was given twice


async def test_they_cross_joint_decisions_settlements_and_resets_without_a_deadlock(
    limits: RateLimitRepository, other: RateLimitRepository
) -> None:
    wide: dict[str, Any] = {"limit": 10_000, "window": MONTH}
    asks = [Ask(subject, "/chat", 10_000, MONTH) for subject in PEOPLE[:8]]

    async def settle(handle: RateLimitRepository, subject: str) -> None:
        await (await handle.reserve(subject, "/chat", **wide, cost=3)).settle(2)

    chance = random.Random(2)
    calls: list[Any] = []
    for n in range(240):
        handle, subject = (limits, other)[n % 2], chance.choice(PEOPLE[:8])
        kind = n % 6
        if kind == 0:
            calls.append(handle.consume_all(chance.sample(asks, 5)))
        elif kind == 1:
            calls.append(settle(handle, subject))
        elif kind == 2 and n % 5 == 0:
            calls.append(handle.reset(subject))
        else:
            calls.append(handle.consume(subject, "/chat", **wide))
    chance.shuffle(calls)
    await gathered(calls)


async def test_no_commit_of_another_statement_is_hastened(digitwin_db: Database) -> None:
    await gathered(digitwin_db.limits.consume(subject, "/chat", **CHAT) for subject in PEOPLE)
    assert await digitwin_db.limits._buckets._consume_many([call(PEOPLE[0]), call(PEOPLE[1])])
    shown = await gathered(
        digitwin_db._core.aside.fetchval("SELECT current_setting('synchronous_commit')")
        for _ in range(3 * digitwin_db.settings.pool_max)
    )
    assert {*shown} == {"on"}


@pytest.fixture
async def proxy(digitwin_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(dsn.parse(digitwin_url)) as proxy:
        yield proxy


async def test_a_lost_reply_is_told_to_each(
    proxy: Proxy, digitwin_db_factory: DatabaseFactory, raw: asyncpg.Connection
) -> None:
    db = await digitwin_db_factory(proxy.url, pool_min=0)
    await db.limits.consume("bob", "/chat", **CHAT)
    hold = proxy.hold("bob")
    whose = ["ada"] * AT_ONCE + ["bob"] * 4
    calls = [asyncio.create_task(db.limits.consume(each, "/chat", **CHAT)) for each in whose]
    await hold.answered.wait()
    hold.lose()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in results[AT_ONCE:]] == [OutcomeUnknownError] * 4
    left = await raw.fetchval("SELECT tokens FROM rate_limits WHERE subject = 'bob'")
    assert round(left) == 5  # they were taken, and none was asked for again


async def test_closing_waits_for_those_that_wait(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, tokens: Tokens
) -> None:
    db = await digitwin_db_factory(digitwin_url)
    tasks = [asyncio.create_task(db.limits.consume("ada", "/chat", **CHAT)) for _ in range(9)]
    await asyncio.sleep(0)
    await db.close()
    assert sorted([(await task).remaining for task in tasks]) == list(range(1, 10))
    assert await tokens() == 1
