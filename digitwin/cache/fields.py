"""What the cache takes, checked before anything is sent."""

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


class Place(NamedTuple):
    """Where an entry is: whose it is and who may see it come before its name."""

    user_id: UUID
    audience: str
    key: str


def place(key: object, user_id: object, audience: object) -> Place:
    """A checked place.

    Raises:
        InvalidInputError: names the field.
    """
    return Place(owner(user_id), seen_by(audience), validate(_KEY, key, "key"))


def owner(user_id: object) -> UUID:
    """The person, or the nil UUID for nobody."""
    return NOBODY if user_id is None else parse_id(user_id, "user_id")


def seen_by(audience: object) -> str:
    """``owner`` or ``visitor``."""
    if audience not in ("owner", "visitor"):
        raise InvalidInputError("audience must be 'owner' or 'visitor'", field="audience")
    return str(audience)


def distinct_keys(keys: Iterable[str]) -> list[str]:
    """At most 1,000 keys, each once."""
    listed: list[str] = validate(_KEYS, _listed(keys, "keys"), "keys")
    return list(dict.fromkeys(listed))


def tag(value: object) -> str:
    """One line of at most 200 characters."""
    return validate(_TAG, value, "tag")


def terms(
    ttl: float | timedelta | None, tags: Iterable[str], default: float
) -> tuple[float, list[str]]:
    """Seconds an entry lives, 1 ms to 366 days, and its tags: at most 32, each once."""
    lives = default if ttl is None else seconds(ttl, "ttl", at_least=MIN_TTL, at_most=MAX_TTL)
    listed: list[str] = validate(_TAGS, _listed(tags, "tags"), "tags")
    return lives, sorted(set(listed))


def stale_time(value: float | timedelta | None) -> float:
    """Seconds an entry may be shown after its time, 0 to 366 days; None is 0."""
    if value is None:
        return 0.0
    return seconds(value, "stale_while_revalidate", at_least=0.0, at_most=MAX_TTL)


def _listed(values: object, field: str) -> Any:
    """A string is iterable too, and never meant as its characters."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidInputError(f"{field} must be a list of strings", field=field)
    return list(values)
