"""Which policies apply to whom."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from digitwin.errors import InvalidInputError
from digitwin.limits import fields
from digitwin.limits.fields import Bucket, Call
from digitwin.policies import Policy

EVERYBODY_ELSE = ""
"""In place of a tier: those whose tier no policy names."""


class Rules:
    """The policies of one handle, by endpoint."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        by_endpoint: dict[str, list[Policy]] = {}
        for policy in policies:
            by_endpoint.setdefault(policy.endpoint, []).append(policy)
        self._rules = {endpoint: _Rule(each) for endpoint, each in by_endpoint.items()}

    def calls(self, person: UUID, endpoint: object, cost: object) -> tuple[list[Call], list[str]]:
        """A call for each policy of the endpoint, and beside it the tier that it is for.

        Raises:
            InvalidInputError: no policy names the endpoint, or none would ever admit the cost.
        """
        place = fields.name(endpoint, "endpoint")
        rule = self._rules.get(place)
        if rule is None:
            raise InvalidInputError(
                "no policy names this endpoint: add one to the setting `policies`",
                field="endpoint",
            )
        tokens, subject = fields.tokens(cost, "cost", 1, rule.most), str(person)
        calls = [
            Call(Bucket(subject, place, window_ms), limit, tokens, window_ms / 1000)
            for window_ms, limit in rule.buckets
        ]
        return calls, rule.tiers


class _Rule:
    """One endpoint's policies, laid out for each tier: one for each window."""

    def __init__(self, policies: list[Policy]) -> None:
        self.tiers: list[str] = []
        self.buckets: list[tuple[int, int]] = []
        self.most = max(policy.limit for policy in policies)
        for tier in sorted({policy.tier or EVERYBODY_ELSE for policy in policies} | {""}):
            for window_ms, limit in _limits(policies, tier):
                self.tiers.append(tier)
                self.buckets.append((window_ms, limit))


def _limits(policies: list[Policy], tier: str) -> Iterable[tuple[int, int]]:
    """By window; what names the tier comes last, and so in place of what is for everybody."""
    limits: dict[int, int] = {}
    for policy in sorted(policies, key=lambda policy: policy.tier is not None):
        if policy.tier in (None, tier):
            limits[round(policy.window * 1000)] = policy.limit
    return limits.items()
