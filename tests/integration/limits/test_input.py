"""What does not fit is refused by name, before anything is sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from digitwin.errors import InvalidInputError
from digitwin.limits.repository import RateLimitRepository

GOOD: dict[str, Any] = {"subject": "ada", "endpoint": "/chat", "limit": 10, "window": 60}

WRONG: list[tuple[str, Any]] = [
    *(("subject", value) for value in ("", " ", "x" * 201, "a\0b", "a\nb", "\ud800", b"ada", 7)),
    ("subject", None),
    *(("endpoint", value) for value in ("", "x" * 201, "a\0b", None, 7)),
    *(("limit", value) for value in (0, -1, 1_000_000_001, 10**400, 1.0, True, "10", None)),
    *(("limit", value) for value in (float("nan"), float("inf"))),
    *(("window", value) for value in (0, -1, 1e300, 10**400, 366 * 86_400 + 1, 0.0009)),
    *(("window", value) for value in (float("nan"), float("inf"), True, "60", None)),
    *(("window", value) for value in (timedelta(0), timedelta(days=-1), timedelta(days=367))),
    *(("cost", value) for value in (0, -1, 11, 10**400, 1.0, True, "1", None, float("nan"))),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
async def test_bad_input_is_named_and_nothing_is_sent(
    limits: RateLimitRepository, raw: asyncpg.Connection, field: str, value: Any
) -> None:
    for method in (limits.consume, limits.peek, limits.require):
        with pytest.raises(InvalidInputError) as refused:
            await method(**GOOD | {field: value})
        assert refused.value.details["field"] == field
    assert await raw.fetchval("SELECT count(*) FROM rate_limits") == 0
    assert await limits.usage() == []


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("subject", {"subject": ""}),
        ("endpoint", {"subject": "ada", "endpoint": ""}),
        ("window", {"subject": "ada", "window": 0}),
    ],
)
async def test_reset_names_it_too(
    limits: RateLimitRepository, field: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await limits.reset(**arguments)
    assert refused.value.details["field"] == field


async def test_the_value_is_not_repeated(limits: RateLimitRepository) -> None:
    """It may be an address or a secret, and errors end up in logs."""
    with pytest.raises(InvalidInputError) as refused:
        await limits.consume("secret\0", "/chat", limit=1, window=1)
    assert "secret" not in str(refused.value)
