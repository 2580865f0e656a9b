"""Who may ask for how much: the limiter's rules as data, checked when they are written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias, get_args

from digitwin.errors import ConfigurationError

Tier: TypeAlias = Literal["free", "pro", "enterprise"]
"""What a person's ``subscription_tier`` may be."""

MAX_LIMIT: Final = 1_000_000_000
MIN_WINDOW: Final = 0.001
MAX_WINDOW: Final = 366 * 86_400.0
MAX_POLICIES: Final = 32
"""For one endpoint: each one that applies is a row locked for every call."""


@dataclass(frozen=True, slots=True)
class Policy:
    """So many tokens of one endpoint in a window, for everybody or for one tier.

    Of two policies for the same endpoint and window, the one that names a person's tier holds
    in place of the one for everybody. Those of different windows stand side by side, and a
    call must pass them all.

    Raises:
        ConfigurationError: names the field that does not fit.
    """

    endpoint: str
    """What is asked for, as given to ``db.limits.check``: at most 200 characters."""
    limit: int
    """Tokens of a full bucket, 1 to 1,000,000,000."""
    window: float
    """Seconds (or a ``timedelta``) in which an empty bucket becomes full, 1 ms to 366 days."""
    tier: Tier | None = None
    """Whom it is for; None means everybody."""

    def __post_init__(self) -> None:
        window: Any = self.window
        if isinstance(window, timedelta):
            window = window.total_seconds()
        if not isinstance(self.endpoint, str) or not _is_name(self.endpoint):
            raise _misfit("an endpoint must have 1 to 200 characters, all of them printable")
        if not _is_number(self.limit, int) or not 1 <= self.limit <= MAX_LIMIT:
            raise _misfit(f"a limit must be a whole number between 1 and {MAX_LIMIT:,}")
        if not _is_number(window, int, float) or not MIN_WINDOW <= window <= MAX_WINDOW:
            raise _misfit("a window must be between 1 ms and 366 days, in seconds")
        if self.tier is not None and self.tier not in get_args(Tier):
            raise _misfit(f"a tier must be one of {', '.join(get_args(Tier))}, or left out")
        object.__setattr__(self, "window", float(window))


def policies_of(given: object) -> object:
    """Policies from themselves or from the objects of a JSON text, checked side by side.

    Raises:
        ConfigurationError: one does not fit, or two say different things about the same.
    """
    if not isinstance(given, Iterable) or isinstance(given, str | bytes | Mapping):
        raise _misfit("must be a list of policies")
    policies = tuple(_policy(item) for item in given)
    places = Counter((p.endpoint, round(p.window * 1000), p.tier) for p in policies)
    for (endpoint, _, _), count in places.items():
        if count > 1:
            raise _misfit(f"two for {endpoint} have the same window and tier")
    for endpoint, count in Counter(policy.endpoint for policy in policies).items():
        if count > MAX_POLICIES:
            raise _misfit(f"{endpoint} has more than {MAX_POLICIES}")
    return policies


def _policy(item: object) -> Policy:
    if isinstance(item, Policy):
        return item
    if not isinstance(item, Mapping):
        raise _misfit("each must be a Policy, or an object with its fields")
    missing = {"endpoint", "limit", "window"} - item.keys()
    if missing:
        raise _misfit(f"a policy needs its {min(missing)}")
    if item.keys() - Policy.__dataclass_fields__.keys():
        raise _misfit("a policy has the fields endpoint, limit, window and tier alone")
    return Policy(**item)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 200 and text.isprintable() and not text.isspace()


def _is_number(value: object, *kinds: type) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _misfit(message: str) -> ConfigurationError:
    return ConfigurationError(f"Setting `policies`: {message}", field="policies")
