"""Rate limit policies for ``db.limits.check``, validated when they are created."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias, get_args

from digitwin.errors import ConfigurationError

Tier: TypeAlias = Literal["free", "pro", "enterprise"]
"""Values of ``subscription_tier``."""

MAX_LIMIT: Final = 1_000_000_000
MIN_WINDOW: Final = 0.001
MAX_WINDOW: Final = 366 * 86_400.0
MAX_POLICIES: Final = 32
"""Policies per endpoint; each that applies locks a row on every call."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A limit for one endpoint and window, for everybody or for one tier.

    For the same endpoint and window, a policy for the person's tier replaces the policy for
    everybody. Policies with different windows all apply.

    Raises:
        ConfigurationError: names the invalid field.
    """

    endpoint: str
    """The endpoint, as passed to ``db.limits.check``; 1 to 200 characters."""
    limit: int
    """Capacity of the bucket in tokens, 1 to 1,000,000,000."""
    window: float
    """Seconds (or ``timedelta``) to refill an empty bucket, 1 ms to 366 days."""
    tier: Tier | None = None
    """The tier it applies to; None: everybody."""

    def __post_init__(self) -> None:
        window: Any = _plain(self.window)
        for name in ("endpoint", "limit", "tier"):
            object.__setattr__(self, name, _plain(getattr(self, name)))
        if type(self.endpoint) is not str or not _is_name(self.endpoint):
            raise _invalid("an endpoint must have 1 to 200 printable characters")
        if not _is_number(self.limit, int) or not 1 <= self.limit <= MAX_LIMIT:
            raise _invalid(f"a limit must be a whole number between 1 and {MAX_LIMIT:,}")
        if not _is_number(window, int, float) or not MIN_WINDOW <= window <= MAX_WINDOW:
            raise _invalid("a window must be between 1 ms and 366 days, in seconds")
        if self.tier is not None and not _is_tier(self.tier):
            raise _invalid(f"a tier must be {', '.join(get_args(Tier))} or unset")
        object.__setattr__(self, "window", float(window))


def parse_policies(given: object) -> object:
    """Parse policies from a list of ``Policy`` objects or of dicts.

    Raises:
        ConfigurationError: one is invalid, two have the same endpoint, window and tier, or an
            endpoint has more than :data:`MAX_POLICIES`.
    """
    if not isinstance(given, Iterable) or isinstance(given, str | bytes | Mapping):
        raise _invalid("must be a list of policies")
    policies = tuple(_policy(item) for item in given)
    places = Counter((p.endpoint, round(p.window * 1000), p.tier) for p in policies)
    for (endpoint, _, _), count in places.items():
        if count > 1:
            raise _invalid(f"two policies for {endpoint} have the same window and tier")
    for endpoint, count in Counter(policy.endpoint for policy in policies).items():
        if count > MAX_POLICIES:
            raise _invalid(f"{endpoint} has more than {MAX_POLICIES} policies")
    return policies


def _policy(item: object) -> Policy:
    if isinstance(item, Policy):
        return item
    if not isinstance(item, Mapping):
        raise _invalid("each must be a Policy or an object with its fields")
    missing = {"endpoint", "limit", "window"} - item.keys()
    if missing:
        raise _invalid(f"a policy has no {min(missing)}")
    if item.keys() - Policy.__dataclass_fields__.keys():
        raise _invalid("the fields of a policy are endpoint, limit, window and tier")
    return Policy(**item)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 200 and text.isprintable() and not text.isspace()


def _plain(value: Any) -> Any:
    """Return a value of a subclass, such as an enumeration's, as its built-in type.

    A timedelta becomes seconds. Another object is returned as it is, and not asked for anything.
    """
    kind = type(value)
    if issubclass(kind, timedelta):
        return timedelta.total_seconds(value)
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, float):
        return float.__float__(value)
    return int.__int__(value) if issubclass(kind, int) and kind is not bool else value


def _is_tier(value: object) -> bool:
    return type(value) is str and value in get_args(Tier)


def _is_number(value: object, *kinds: type) -> bool:
    return type(value) in kinds


def _invalid(message: str) -> ConfigurationError:
    return ConfigurationError(f"Setting `policies`: {message}", field="policies")
