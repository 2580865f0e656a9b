"""What nobody has used for long goes, in short statements beside the traffic."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from digitwin.errors import InvalidInputError
from digitwin.limits import buckets, usage
from digitwin.limits.repository import RateLimitRepository
from tests.integration.limits.conftest import MONTH, Elapse, gathered

CHAT: dict[str, Any] = {"limit": 10, "window": 60}


async def subjects(raw: asyncpg.Connection) -> list[str]:
    return [row[0] for row in await raw.fetch("SELECT subject FROM rate_limits ORDER BY subject")]


async def test_idle_buckets_go_and_the_others_stay(
    limits: RateLimitRepository, elapse: Elapse, raw: asyncpg.Connection
) -> None:
    await limits.consume("old", "/chat", **CHAT)
    await elapse(3601)
    await limits.consume("new", "/chat", **CHAT)
    assert await limits.purge(timedelta(hours=1)) == 1
    assert await subjects(raw) == ["new"]


async def test_a_bucket_that_is_not_full_again_stays(
    limits: RateLimitRepository, elapse: Elapse, raw: asyncpg.Connection
) -> None:
    """Or its tokens would come back before their time."""
    await limits.consume("ada", "/chat", limit=10, window=MONTH)
    await elapse(MONTH - 60)
    assert await limits.purge(0) == 0
    await elapse(61)
    assert await limits.purge(0) == 1


async def test_every_batch_is_walked_through(
    limits: RateLimitRepository, raw: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "BATCH", 7)
    await raw.execute(
        "INSERT INTO rate_limits (subject, endpoint, window_ms, max_tokens, tokens, updated_at)"
        " SELECT 's' || n / 3, '/' || n % 3, 1000, 1, 1,"
        " now() - CASE n % 5 WHEN 0 THEN interval '0' ELSE interval '1 day' END"
        " FROM generate_series(1, 100) AS n"
    )
    assert await limits.purge(3600) == 80
    assert await raw.fetchval("SELECT count(*) FROM rate_limits") == 20


async def test_old_usage_goes_with_them(
    limits: RateLimitRepository, raw: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "BATCH", 7)
    await raw.execute(
        "INSERT INTO rate_limit_usage (endpoint, subject, bucket, allowed)"
        " SELECT '/chat', 's' || n, now() - make_interval(hours => n), 1"
        " FROM generate_series(1, 40) AS n"
    )
    assert await limits.purge(timedelta(hours=10.5)) == 0
    assert await raw.fetchval("SELECT count(*) FROM rate_limit_usage") == 10


async def test_what_a_decision_holds_is_left_alone(
    limits: RateLimitRepository, elapse: Elapse, raw: asyncpg.Connection
) -> None:
    """And not waited for."""
    for subject in ("ada", "bob"):
        await limits.consume(subject, "/chat", **CHAT)
    await elapse(3601)
    async with raw.transaction():
        await raw.execute("SELECT FROM rate_limits WHERE subject = 'ada' FOR UPDATE")
        assert await limits.purge(0) == 1
    assert await subjects(raw) == ["ada"]


async def test_beside_traffic_nothing_is_granted_twice(
    limits: RateLimitRepository, other: RateLimitRepository
) -> None:
    async def ask(n: int) -> bool:
        return bool(await limits.consume(f"s{n % 5}", "/chat", limit=10, window=MONTH))

    decisions = await gathered(
        [*(ask(n) for n in range(100)), *(each.purge(0) for each in (limits, other) * 3)]
    )
    assert sum(decisions[:100]) == 50
    assert decisions[100:] == [0] * 6


@pytest.mark.parametrize("age", [-1, float("nan"), True, "60", None, 10**400])
async def test_a_bad_age_is_named(limits: RateLimitRepository, age: Any) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await limits.purge(age)
    assert refused.value.details["field"] == "older_than"
