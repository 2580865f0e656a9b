"""The limiter's arguments, validated before a statement is sent."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Final, NamedTuple
from uuid import UUID

from pydantic import TypeAdapter

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.ids import one_spelling, refuse_nil
from digitwin.kernel.primitives.iterables import listed
from digitwin.kernel.primitives.validation import (
    DEFERRED,
    AwareDatetime,
    Line,
    bounded,
    seconds,
    validate,
)
from digitwin.limits.decision import Ask
from digitwin.policies import MAX_LIMIT, MAX_WINDOW, MIN_WINDOW

CENTURY: Final = 36_525 * 86_400.0
MAX_ASKS: Final = 100
"""Of one joint decision: each one locks a row."""
_VALIDATED: Final = 4096
"""Calls kept validated: the same ones are made over and over."""

_NAME: TypeAdapter[str] = TypeAdapter(Annotated[str, Line(200)], config=DEFERRED)
_MOMENT: TypeAdapter[AwareDatetime] = TypeAdapter(AwareDatetime, config=DEFERRED)


class Bucket(NamedTuple):
    """The key of a bucket."""

    subject: str
    endpoint: str
    window_ms: int


class LimitCall(NamedTuple):
    """A validated call: a bucket, its limit and the tokens asked for."""

    bucket: Bucket
    limit: int
    cost: int
    window: float
    """Seconds, rounded to whole milliseconds as the bucket's key is."""

    @property
    def ask(self) -> Ask:
        """The public form."""
        return Ask(*self.bucket[:2], self.limit, self.window, self.cost)


def call(
    subject: object, endpoint: object, limit: object, window: object, cost: object
) -> LimitCall:
    """Return a validated call.

    Raises:
        InvalidInputError: names the argument and the bound.
    """
    try:
        return _cached_call(subject, endpoint, limit, window, cost)
    except InvalidInputError:
        raise
    except Exception:  # noqa: BLE001 - an argument without a hash: validation below names it
        return _call(subject, endpoint, limit, window, cost)


def _call(
    subject: object, endpoint: object, limit: object, window: object, cost: object
) -> LimitCall:
    return _of(subject, _terms(endpoint, limit, window, cost))


class _Terms(NamedTuple):
    """What is validated of a call besides its subject."""

    endpoint: str
    window_ms: int
    limit: int
    cost: int


def _terms(endpoint: object, limit: object, window: object, cost: object) -> _Terms:
    tokens = bounded(limit, "limit", at_least=1, at_most=MAX_LIMIT)
    return _Terms(
        name(endpoint, "endpoint"),
        milliseconds(window),
        tokens,
        bounded(cost, "cost", at_least=1, at_most=tokens),
    )


def _of(subject: object, terms: _Terms) -> LimitCall:
    endpoint, window_ms, limit, cost = terms
    return LimitCall(
        Bucket(subject_name(subject), endpoint, window_ms), limit, cost, window_ms / 1000
    )


_cached_terms = lru_cache(_VALIDATED, typed=True)(_terms)


@lru_cache(_VALIDATED, typed=True)
def _cached_call(
    subject: object, endpoint: object, limit: object, window: object, cost: object
) -> LimitCall:
    return _of(subject, _cached_terms(endpoint, limit, window, cost))


def calls(asks: object) -> tuple[LimitCall, ...]:
    """Return the validated calls of a joint decision, each to a different bucket.

    Raises:
        InvalidInputError: names ``asks``, or the invalid field of one.
    """
    given = listed(asks, "asks", at_most=MAX_ASKS, of="Ask")
    if not given or not all(issubclass(type(ask), Ask) for ask in given):
        raise InvalidInputError(f"asks must be a list of 1 to {MAX_ASKS} Ask", field="asks")
    checked = tuple(call(a.subject, a.endpoint, a.limit, a.window, a.cost) for a in given)
    if len({each.bucket for each in checked}) < len(checked):
        raise InvalidInputError("asks name a bucket twice: add up their costs", field="asks")
    return checked


def subject_name(subject: object) -> str:
    """Return a subject's name, with a UUID in it in one spelling.

    Raises:
        InvalidInputError: it is not a name, or the nil UUID.
    """
    if issubclass(type(subject), UUID):
        subject = str(subject)
    return refuse_nil(one_spelling(name(subject, "subject")), "subject")


def name(value: object, field: str) -> str:
    """Return a validated name: one line of at most 200 characters."""
    if (
        type(value) is str
        and 0 < len(value) <= 200
        and value.isascii()
        and value.isprintable()
        and value[0] != " "
    ):
        return value  # the common case; pydantic validates the rest
    return validate(_NAME, value, field)


def milliseconds(window: object) -> int:
    """Return a window of 1 ms to 366 days in milliseconds."""
    return round(seconds(window, "window", at_least=MIN_WINDOW, at_most=MAX_WINDOW) * 1000)


def tokens(value: object, field: str, at_least: int, at_most: int = MAX_LIMIT) -> int:
    """Return a validated number of tokens."""
    return bounded(value, field, at_least=at_least, at_most=at_most)


def age(older_than: float | timedelta) -> float:
    """Return an age in seconds, at most a century."""
    return seconds(older_than, "older_than", at_least=0, at_most=CENTURY)


def moment(value: object, field: str) -> AwareDatetime:
    """Return a validated datetime, which must have a time zone."""
    return validate(_MOMENT, value, field)
