"""The cache's arguments, validated before a statement is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, NamedTuple
from uuid import UUID

from pydantic import TypeAdapter

from digitwin.kernel.primitives.ids import NOBODY, parse_id
from digitwin.kernel.primitives.iterables import listed, mapped
from digitwin.kernel.primitives.validation import DEFERRED, Line, Text, bounded, seconds, validate

Audience = Literal["owner", "visitor"]

MAX_KEY: Final = 512
"""Characters."""
MAX_KEYS: Final = 1000
MAX_TOGETHER: Final = 16 * 1_048_576
"""Bytes of the values that one statement stores."""
MAX_TAGS: Final = 32
MIN_TTL: Final = 0.001
MAX_TTL: Final = 366 * 86_400.0

_Key = Annotated[str, Text(MAX_KEY, min_length=1)]
_Tag = Annotated[str, Line(200)]

_KEY: TypeAdapter[str] = TypeAdapter(_Key, config=DEFERRED)
_PREFIX: TypeAdapter[str] = TypeAdapter(Annotated[str, Text(MAX_KEY)], config=DEFERRED)
_KEYS: TypeAdapter[list[str]] = TypeAdapter(list[_Key], config=DEFERRED)
_AUDIENCE: TypeAdapter[Audience] = TypeAdapter(Audience, config=DEFERRED)
_TAG: TypeAdapter[str] = TypeAdapter(_Tag, config=DEFERRED)
_TAGS: TypeAdapter[list[str]] = TypeAdapter(list[_Tag], config=DEFERRED)


class EntryKey(NamedTuple):
    """The key of an entry: its person and audience are part of it."""

    user_id: UUID
    audience: str
    key: str


def entry_key(key: object, user_id: object, audience: object) -> EntryKey:
    """Return a validated key.

    Raises:
        InvalidInputError: names the argument.
    """
    return EntryKey(owner(user_id), audience_name(audience), validate(_KEY, key, "key"))


def owner(user_id: object) -> UUID:
    """Return the person's id; for None, the nil UUID under which shared entries are stored."""
    return NOBODY if user_id is None else parse_id(user_id, "user_id")


def audience_name(audience: object) -> str:
    """Return a validated audience, ``owner`` or ``visitor``."""
    if type(audience) is str and audience in ("owner", "visitor"):
        return audience
    return validate(_AUDIENCE, audience, "audience")


def distinct_keys(keys: Iterable[str]) -> list[str]:
    """Return at most 1,000 keys, without duplicates."""
    given = listed(keys, "keys", at_most=MAX_KEYS, of="strings")
    valid: list[str] = validate(_KEYS, given, "keys")
    return list(dict.fromkeys(valid))


def values_by_key(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return at most 1,000 values by validated key."""
    given = mapped(values, "values", at_most=MAX_KEYS)
    valid: list[str] = validate(_KEYS, list(given), "values")
    return dict(zip(valid, given.values(), strict=True))


def page_of_keys(prefix: object, limit: object, after: object) -> tuple[str, int, str]:
    """Return the bounds of a page of keys; each key comes after the empty text."""
    return (
        validate(_PREFIX, prefix, "prefix"),
        bounded(limit, "limit", at_least=1, at_most=MAX_KEYS),
        "" if after is None else validate(_KEY, after, "after"),
    )


def tag(value: object) -> str:
    """Return a validated tag: one line of at most 200 characters."""
    return validate(_TAG, value, "tag")


def ttl_and_tags(
    ttl: float | timedelta | None, tags: Iterable[str], default: float
) -> tuple[float, list[str]]:
    """Return the time to live in seconds, 1 ms to 366 days, and at most 32 distinct tags."""
    lives = default if ttl is None else seconds(ttl, "ttl", at_least=MIN_TTL, at_most=MAX_TTL)
    given = listed(tags, "tags", at_most=MAX_TAGS, of="strings")
    valid: list[str] = validate(_TAGS, given, "tags")
    return lives, sorted(set(valid))


def stale_time(value: float | timedelta | None) -> float:
    """Return the seconds an entry may be served stale, 0 to 366 days; None is 0."""
    if value is None:
        return 0.0
    return seconds(value, "stale_while_revalidate", at_least=0.0, at_most=MAX_TTL)
