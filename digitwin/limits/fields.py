"""What the limiter takes, checked before anything is sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final, NamedTuple
from uuid import UUID

from pydantic import TypeAdapter

from digitwin.kernel.inputs import AwareDatetime, Line, bounded, seconds, validate

MAX_LIMIT: Final = 1_000_000_000
MIN_WINDOW: Final = 0.001
MAX_WINDOW: Final = 366 * 86_400.0
CENTURY: Final = 36_525 * 86_400.0

_NAME: TypeAdapter[str] = TypeAdapter(Annotated[str, Line(200)])
_MOMENT: TypeAdapter[AwareDatetime] = TypeAdapter(AwareDatetime)
_UUID_LENGTH = 36


class Bucket(NamedTuple):
    """Whose tokens, for what, and how fast they come back."""

    subject: str
    endpoint: str
    window_ms: int


class Call(NamedTuple):
    """A bucket as a call sees it."""

    bucket: Bucket
    limit: int
    cost: int
    window: float
    """Seconds, as the database knows them: whole milliseconds."""


def call(subject: object, endpoint: object, limit: object, window: object, cost: object) -> Call:
    """A checked call.

    Raises:
        InvalidInputError: names the field, and the limit it passes.
    """
    tokens = bounded(limit, "limit", at_least=1, at_most=MAX_LIMIT)
    bucket = Bucket(subject_name(subject), name(endpoint, "endpoint"), milliseconds(window))
    return Call(
        bucket, tokens, bounded(cost, "cost", at_least=1, at_most=tokens), bucket.window_ms / 1000
    )


def subject_name(subject: object) -> str:
    """A person's id in its one spelling, or any other name as it is."""
    if isinstance(subject, UUID):
        return str(subject)
    text = name(subject, "subject")
    if len(text) == _UUID_LENGTH:
        try:
            return str(UUID(text))
        except ValueError:
            pass
    return text


def name(value: object, field: str) -> str:
    """One line of at most 200 characters."""
    return validate(_NAME, value, field)


def milliseconds(window: object) -> int:
    """A window of 1 ms to 366 days, from seconds or a timedelta."""
    return round(seconds(window, "window", at_least=MIN_WINDOW, at_most=MAX_WINDOW) * 1000)


def age(older_than: float | timedelta) -> float:
    """Seconds of at most a century."""
    return seconds(older_than, "older_than", at_least=0, at_most=CENTURY)


def moment(value: object, field: str) -> AwareDatetime:
    """A datetime with its time zone."""
    return validate(_MOMENT, value, field)
