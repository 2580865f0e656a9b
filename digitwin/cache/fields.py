"""The cache's arguments, validated before a statement is sent."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, NamedTuple
from uuid import UUID

from pydantic import Field, TypeAdapter

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.ids import NOBODY, parse_id
from digitwin.kernel.primitives.validation import Line, Text, seconds, validate

Audience = Literal["owner", "visitor"]

MAX_KEYS: Final = 1000
MAX_TAGS: Final = 32
MIN_TTL: Final = 0.001
MAX_TTL: Final = 366 * 86_400.0

_Key = Annotated[str, Text(512, min_length=1)]
_Tag = Annotated[str, Line(200)]

_KEY: TypeAdapter[str] = TypeAdapter(_Key)
_KEYS: TypeAdapter[list[str]] = TypeAdapter(Annotated[list[_Key], Field(max_length=MAX_KEYS)])
_TAG: TypeAdapter[str] = TypeAdapter(_Tag)
_TAGS: TypeAdapter[list[str]] = TypeAdapter(Annotated[list[_Tag], Field(max_length=MAX_TAGS)])


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
    """Return the person's id, or the nil UUID for None."""
    return NOBODY if user_id is None else parse_id(user_id, "user_id")


def audience_name(audience: object) -> str:
    """Return a validated audience, ``owner`` or ``visitor``."""
    if audience not in ("owner", "visitor"):
        raise InvalidInputError("audience must be 'owner' or 'visitor'", field="audience")
    return str(audience)


def distinct_keys(keys: Iterable[str]) -> list[str]:
    """Return at most 1,000 keys, without duplicates."""
    listed: list[str] = validate(_KEYS, _listed(keys, "keys"), "keys")
    return list(dict.fromkeys(listed))


def tag(value: object) -> str:
    """Return a validated tag: one line of at most 200 characters."""
    return validate(_TAG, value, "tag")


def ttl_and_tags(
    ttl: float | timedelta | None, tags: Iterable[str], default: float
) -> tuple[float, list[str]]:
    """Return the time to live in seconds, 1 ms to 366 days, and at most 32 distinct tags."""
    lives = default if ttl is None else seconds(ttl, "ttl", at_least=MIN_TTL, at_most=MAX_TTL)
    listed: list[str] = validate(_TAGS, _listed(tags, "tags"), "tags")
    return lives, sorted(set(listed))


def stale_time(value: float | timedelta | None) -> float:
    """Return the seconds an entry may be served stale, 0 to 366 days; None is 0."""
    if value is None:
        return 0.0
    return seconds(value, "stale_while_revalidate", at_least=0.0, at_most=MAX_TTL)


def _listed(values: object, field: str) -> Any:
    """Return a list; refuses a string, which is an iterable of its characters."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidInputError(f"{field} must be a list of strings", field=field)
    return list(values)
