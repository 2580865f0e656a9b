"""Who was allowed and denied how often, by endpoint and hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin.errors import InvalidInputError
from digitwin.limits.decision import EndpointUsage
from digitwin.limits.repository import RateLimitRepository
from digitwin.testing import DatabaseFactory
from tests.integration.limits.conftest import MONTH, gathered

ADA = UUID(int=0xADA)
CHAT: dict[str, Any] = {"limit": 10, "window": MONTH}


def told(usage: list[EndpointUsage]) -> list[tuple[str, int, int]]:
    return [(entry.endpoint, entry.allowed, entry.denied) for entry in usage]


async def test_it_agrees_with_what_was_decided(
    limits: RateLimitRepository, other: RateLimitRepository
) -> None:
    decisions = await gathered(
        each.consume("ada", "/chat", **CHAT) for each in (limits, other) for _ in range(15)
    )
    await other.usage()  # which writes what the other handle has counted
    assert sum(map(bool, decisions)) == 10
    assert told(await limits.usage()) == [("/chat", 10, 20)]


async def test_require_counts_and_peek_does_not(limits: RateLimitRepository) -> None:
    await limits.require("ada", "/chat", **CHAT)
    await limits.peek("ada", "/chat", **CHAT)
    assert told(await limits.usage()) == [("/chat", 1, 0)]


async def test_it_is_complete_after_close(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, limits: RateLimitRepository
) -> None:
    db = await digitwin_db_factory(digitwin_url, flush_interval=3600)
    await gathered(db.limits.consume("ada", "/chat", **CHAT) for _ in range(12))
    await db.close()
    assert told(await limits.usage()) == [("/chat", 10, 2)]


async def test_counts_are_written_by_themselves(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, raw: asyncpg.Connection
) -> None:
    db = await digitwin_db_factory(digitwin_url, flush_interval=0.01)
    await db.limits.consume("ada", "/chat", **CHAT)
    while not await raw.fetchval("SELECT sum(allowed) FROM rate_limit_usage"):
        pass


async def test_of_one_subject_however_it_is_spelt(limits: RateLimitRepository) -> None:
    await limits.consume(ADA, "/chat", **CHAT)
    await limits.consume("bob", "/chat", **CHAT)
    await limits.consume("bob", "/voice", **CHAT)
    assert told(await limits.usage(str(ADA).upper())) == [("/chat", 1, 0)]
    assert told(await limits.usage("bob")) == [("/chat", 1, 0), ("/voice", 1, 0)]
    assert told(await limits.usage()) == [("/chat", 2, 0), ("/voice", 1, 0)]


async def test_by_hour_the_oldest_first(
    limits: RateLimitRepository, raw: asyncpg.Connection
) -> None:
    await limits.consume("ada", "/chat", **CHAT)
    await limits.usage()
    await raw.execute("UPDATE rate_limit_usage SET bucket = bucket - interval '3 hours'")
    await limits.consume("ada", "/chat", **CHAT)
    usage = await limits.usage()
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    assert usage[1].hour - usage[0].hour == timedelta(hours=3)
    assert hour - usage[1].hour in (timedelta(0), timedelta(hours=1))
    assert usage[1].hour.tzinfo is not None


async def test_since_begins_with_the_hour_it_lies_in(
    limits: RateLimitRepository, raw: asyncpg.Connection
) -> None:
    await raw.execute(
        "INSERT INTO rate_limit_usage (endpoint, subject, bucket, allowed)"
        " VALUES ('/chat', 'ada', '2024-05-01 10:00Z', 1), ('/chat', 'ada', '2024-05-01 11:00Z', 2)"
    )
    half_past = datetime(2024, 5, 1, 13, 30, tzinfo=UTC).astimezone()
    assert told(await limits.usage(since=half_past - timedelta(hours=2))) == [("/chat", 2, 0)]
    assert told(await limits.usage(since=half_past - timedelta(hours=3))) == [
        ("/chat", 1, 0),
        ("/chat", 2, 0),
    ]
    assert await limits.usage(since=half_past) == []


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("subject", {"subject": ""}),
        ("subject", {"subject": 7}),
        ("since", {"since": datetime(2024, 1, 1)}),  # noqa: DTZ001 - that is the point
        ("since", {"since": "2024-01-01"}),
    ],
)
async def test_bad_input_is_named(
    limits: RateLimitRepository, field: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await limits.usage(**arguments)
    assert refused.value.details["field"] == field
