"""What the limiter takes, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Final, NamedTuple
from uuid import UUID

from pydantic import TypeAdapter

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.validation import AwareDatetime, Line, bounded, seconds, validate
from digitwin.limits.decision import Ask
from digitwin.policies import MAX_LIMIT, MAX_WINDOW, MIN_WINDOW

CENTURY: Final = 36_525 * 86_400.0
MAX_ASKS: Final = 100
"""Of one joint decision: each is a row locked."""
_REMEMBERED: Final = 4096
"""Calls that are asked again and again need not be checked again and again."""

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

    @property
    def ask(self) -> Ask:
        """As a caller would write it."""
        return Ask(*self.bucket[:2], self.limit, self.window, self.cost)


def call(subject: object, endpoint: object, limit: object, window: object, cost: object) -> Call:
    """A checked call.

    Raises:
        InvalidInputError: names the field, and the limit it passes.
    """
    try:
        return _remembered(subject, endpoint, limit, window, cost)
    except TypeError:  # what cannot be hashed cannot be right either, and the check names it
        return _call(subject, endpoint, limit, window, cost)


def _call(subject: object, endpoint: object, limit: object, window: object, cost: object) -> Call:
    tokens = bounded(limit, "limit", at_least=1, at_most=MAX_LIMIT)
    bucket = Bucket(subject_name(subject), name(endpoint, "endpoint"), milliseconds(window))
    return Call(
        bucket, tokens, bounded(cost, "cost", at_least=1, at_most=tokens), bucket.window_ms / 1000
    )


_remembered = lru_cache(_REMEMBERED, typed=True)(_call)


def calls(asks: object) -> tuple[Call, ...]:
    """Checked calls of a joint decision, each of a bucket of its own.

    Raises:
        InvalidInputError: names ``asks``, or the field of an ask that does not fit.
    """
    if not isinstance(asks, Iterable):
        raise InvalidInputError("asks must be a list of Ask", field="asks")
    given = tuple(asks)
    if not all(isinstance(ask, Ask) for ask in given) or not 1 <= len(given) <= MAX_ASKS:
        raise InvalidInputError(f"asks must be 1 to {MAX_ASKS} of Ask", field="asks")
    checked = tuple(call(a.subject, a.endpoint, a.limit, a.window, a.cost) for a in given)
    if len({each.bucket for each in checked}) < len(checked):
        raise InvalidInputError("asks name one bucket twice: add the costs up", field="asks")
    return checked


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
    if type(value) is str and 0 < len(value) <= 200 and value.isprintable() and value[0] != " ":
        return value  # as good as every name is; the rest is looked at closely
    return validate(_NAME, value, field)


def milliseconds(window: object) -> int:
    """A window of 1 ms to 366 days, from seconds or a timedelta."""
    return round(seconds(window, "window", at_least=MIN_WINDOW, at_most=MAX_WINDOW) * 1000)


def tokens(value: object, field: str, at_least: int, at_most: int = MAX_LIMIT) -> int:
    """A number of tokens."""
    return bounded(value, field, at_least=at_least, at_most=at_most)


def age(older_than: float | timedelta) -> float:
    """Seconds of at most a century."""
    return seconds(older_than, "older_than", at_least=0, at_most=CENTURY)


def moment(value: object, field: str) -> AwareDatetime:
    """A datetime with its time zone."""
    return validate(_MOMENT, value, field)
