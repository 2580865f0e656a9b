"""Policies are data: read from Python and from the environment, and checked side by side."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from digitwin.errors import ConfigurationError, InvalidInputError
from digitwin.limits.policy_index import PolicyIndex
from digitwin.policies import Policy
from digitwin.settings import Settings

ADA = UUID(int=0xADA)


@pytest.fixture(autouse=True)
def _nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DIGITWIN_POLICIES", raising=False)


def test_they_are_given_in_python() -> None:
    chat = Policy("/chat", 60, timedelta(minutes=1), "pro")  # type: ignore[arg-type]
    assert chat == Policy(endpoint="/chat", limit=60, window=60.0, tier="pro")
    assert Settings(policies=[chat]).policies == (chat,)
    assert Settings(policies=(chat,)).with_overrides(pool_max=5).policies == (chat,)
    assert Settings().policies == ()


def test_they_are_given_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    given = [
        {"endpoint": "/chat", "limit": 60, "window": 60},
        {"endpoint": "/chat", "limit": 600, "window": 60, "tier": "pro"},
    ]
    monkeypatch.setenv("DIGITWIN_POLICIES", json.dumps(given))
    assert Settings().policies == (Policy("/chat", 60, 60), Policy("/chat", 600, 60, "pro"))


@pytest.mark.parametrize(
    "text",
    [
        "none",
        "{}",
        '"/chat"',
        "[1]",
        '[{"endpoint": "/chat"}]',
        '[{"endpoint": "/chat", "limit": 1, "window": 1, "price": 2}]',
        '[{"endpoint": "/chat", "limit": 1, "window": NaN}]',
        '[{"endpoint": "/chat", "limit": 1.5, "window": 1}]',
        '[{"endpoint": "/chat", "limit": 1, "window": 1, "tier": "gold"}]',
    ],
)
def test_what_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DIGITWIN_POLICIES", text)
    with pytest.raises(ConfigurationError, match="`policies`") as refused:
        Settings()
    assert refused.value.details["field"] == "policies"


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": ""},
        {"endpoint": " "},
        {"endpoint": "a\0"},
        {"endpoint": "x" * 201},
        {"endpoint": None},
        {"limit": 0},
        {"limit": True},
        {"limit": 10**10},
        {"limit": "60"},
        {"window": 0},
        {"window": float("nan")},
        {"window": float("inf")},
        {"window": 10**400},
        {"window": "60"},
        {"window": True},
        {"window": timedelta(days=400)},
        {"tier": "gold"},
        {"tier": ""},
        {"tier": 7},
    ],
)
def test_a_policy_that_does_not_fit_is_refused_where_it_is_written(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Policy(**{"endpoint": "/chat", "limit": 60, "window": 60} | wrong)


def test_two_that_contradict_each_other_are_refused() -> None:
    for tier in (None, "pro"):
        with pytest.raises(ConfigurationError, match="/chat"):
            Settings(policies=[Policy("/chat", n, 60, tier) for n in (1, 2)])  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="32"):
        Settings(policies=[Policy("/chat", 1, n + 1) for n in range(33)])


def applying(rules: PolicyIndex, tier: str) -> set[tuple[int, int]]:
    calls, tiers = rules.calls(ADA, "/chat", 1)
    assert all(call.bucket[:2] == (str(ADA), "/chat") for call in calls)
    return {
        (call.limit, call.bucket.window_ms)
        for call, of in zip(calls, tiers, strict=True)
        if of == tier
    }


def test_those_of_a_tier_stand_in_place_of_those_for_everybody() -> None:
    rules = PolicyIndex(
        [
            Policy("/chat", 100, 60, "pro"),
            Policy("/chat", 10, 60),
            Policy("/chat", 1000, 3600),
            Policy("/chat", 5, 1, "free"),
            Policy("/voice", 1, 1),
        ]
    )
    assert applying(rules, "pro") == {(100, 60_000), (1000, 3_600_000)}
    assert applying(rules, "free") == {(10, 60_000), (1000, 3_600_000), (5, 1000)}
    assert applying(rules, "") == {(10, 60_000), (1000, 3_600_000)}


def test_where_only_one_tier_is_limited_the_others_are_not() -> None:
    rules = PolicyIndex([Policy("/chat", 10, 60, "free")])
    assert applying(rules, "free") == {(10, 60_000)}
    assert applying(rules, "") == set()


@pytest.mark.parametrize("endpoint", ["/chats", "", None, 7])
def test_an_endpoint_that_no_policy_names_is_refused(endpoint: Any) -> None:
    """A name spelt wrong must not be a way around every limit."""
    with pytest.raises(InvalidInputError) as refused:
        PolicyIndex([Policy("/chat", 10, 60)]).calls(ADA, endpoint, 1)
    assert refused.value.details["field"] == "endpoint"


@pytest.mark.parametrize("cost", [0, 11, True, "1", None])
def test_a_cost_that_no_policy_admits_is_refused(cost: Any) -> None:
    with pytest.raises(InvalidInputError) as refused:
        PolicyIndex([Policy("/chat", 10, 60), Policy("/chat", 5, 1)]).calls(ADA, "/chat", cost)
    assert refused.value.details["field"] == "cost"
