"""Retention settings: for everybody, or by subscription tier."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Annotated, Any, Final, get_args

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from digitwin.policies import Tier

DAY: Final = 86_400.0


def as_seconds(value: object) -> object:
    """Parse seconds from a number, from text (the environment), or from a ``timedelta``."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            seconds = float(value)
        except Exception:  # noqa: BLE001 - raised by a value of a class of the caller's
            raise ValueError("must be seconds, such as 30 or 0.5") from None
        if math.isfinite(seconds):
            return seconds
    raise ValueError("must be seconds or a timedelta")


Seconds = Annotated[float, BeforeValidator(as_seconds)]
Retention = Annotated[Seconds, Field(gt=0, le=36_525 * DAY)]

TIERS: Final[tuple[Tier, ...]] = get_args(Tier)

_JSON: Final[TypeAdapter[Any]] = TypeAdapter(Any, config=ConfigDict(defer_build=True))


@dataclass(frozen=True, config={"extra": "forbid", "hide_input_in_errors": True})
class TierRetention:
    """How many seconds something is kept for people of each tier; None: for ever."""

    free: Retention | None = None
    pro: Retention | None = None
    enterprise: Retention | None = None

    def of(self, tier: str) -> float | None:
        """Return the seconds for a tier; None also for one that a newer release added."""
        seconds: float | None = getattr(self, tier) if tier in TIERS else None
        return seconds

    @property
    def limited(self) -> dict[str, float]:
        """The seconds of each tier that has a limit."""
        given = {tier: self.of(tier) for tier in TIERS}
        return {tier: seconds for tier, seconds in given.items() if seconds is not None}


def by_tier(value: object) -> object:
    """Parse one retention for all tiers, or an object with one for each; also as JSON text."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = _JSON.validate_json(value)
        except ValueError:
            raise ValueError("must be seconds, or a JSON object of seconds by tier") from None
    if value is None or isinstance(value, TierRetention):
        return value
    if isinstance(value, dict):
        if not all(type(tier) is str and tier in TIERS for tier in value):
            raise ValueError(f"the tiers are {', '.join(TIERS)}")
        return value
    seconds = as_seconds(value)
    return dict.fromkeys(TIERS, seconds)


RetentionByTier = Annotated[TierRetention, BeforeValidator(by_tier)]
