"""Finds the policies that apply to a person and an endpoint."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from digitwin.errors import InvalidInputError
from digitwin.limits import fields
from digitwin.limits.fields import Bucket, LimitCall
from digitwin.policies import Policy

OTHER_TIERS = ""
"""In place of a tier's name: people whose tier no policy names."""


class PolicyIndex:
    """The policies of one handle, indexed by endpoint."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        by_endpoint: dict[str, list[Policy]] = {}
        for policy in policies:
            by_endpoint.setdefault(policy.endpoint, []).append(policy)
        self._by_endpoint = {
            endpoint: _EndpointPolicies(each) for endpoint, each in by_endpoint.items()
        }

    def calls(
        self, person: UUID, endpoint: object, cost: object
    ) -> tuple[list[LimitCall], list[str]]:
        """Return a call for each policy of the endpoint, and the tier of each.

        Raises:
            InvalidInputError: no policy names the endpoint, or none could ever admit the cost.
        """
        place = fields.name(endpoint, "endpoint")
        policies = self._by_endpoint.get(place)
        if policies is None:
            raise InvalidInputError(
                "no policy names this endpoint: add one to the setting `policies`",
                field="endpoint",
            )
        tokens, subject = fields.tokens(cost, "cost", 1, policies.most), str(person)
        calls = [
            LimitCall(Bucket(subject, place, window_ms), limit, tokens, window_ms / 1000)
            for window_ms, limit in policies.buckets
        ]
        return calls, policies.tiers


class _EndpointPolicies:
    """One endpoint's policies, for each tier and window."""

    def __init__(self, policies: list[Policy]) -> None:
        self.tiers: list[str] = []
        self.buckets: list[tuple[int, int]] = []
        self.most = max(policy.limit for policy in policies)
        for tier in sorted({policy.tier or OTHER_TIERS for policy in policies} | {""}):
            for window_ms, limit in _limits(policies, tier):
                self.tiers.append(tier)
                self.buckets.append((window_ms, limit))


def _limits(policies: list[Policy], tier: str) -> Iterable[tuple[int, int]]:
    """Return the limits by window; a policy that names the tier overrides a general one."""
    limits: dict[int, int] = {}
    for policy in sorted(policies, key=lambda policy: policy.tier is not None):
        if policy.tier in (None, tier):
            limits[round(policy.window * 1000)] = policy.limit
    return limits.items()
