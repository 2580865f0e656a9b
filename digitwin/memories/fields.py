"""The arguments of the memories, validated before a statement is sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import TypeAdapter

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.iterables import listed
from digitwin.kernel.primitives.validation import (
    DEFERRED,
    JsonObject,
    Line,
    Text,
    bounded,
    seconds,
    validate,
)
from digitwin.kernel.search.words import MAX_LENGTH

Audience = Literal["owner", "visitor"]

SEPARATOR: Final = "."
"""Between the labels of a stored namespace; no label has it."""
ANY: Final = "*"
"""Stands for any label where namespaces are listed."""
MAX_LABELS: Final = 100
MAX_NAME: Final = 1000
"""Bytes of a namespace, periods included, and of a key: both fit an entry of the index."""
MAX_TEXT: Final = MAX_LENGTH
"""Characters of a text whose words are looked for."""
MAX_QUERY: Final = 4000
MAX_OFFSET: Final = 1_000_000
MAX_TTL: Final = 100 * 366 * 86_400.0

_AUDIENCE: TypeAdapter[Audience] = TypeAdapter(Audience, config=DEFERRED)
_LABELS: TypeAdapter[list[str]] = TypeAdapter(
    list[Annotated[str, Text(MAX_NAME, min_length=1)]], config=DEFERRED
)
_KEY: TypeAdapter[str] = TypeAdapter(Annotated[str, Text(MAX_NAME, min_length=1)], config=DEFERRED)
_VALUE: TypeAdapter[dict[str, Any]] = TypeAdapter(JsonObject, config=DEFERRED)
_TEXT: TypeAdapter[str] = TypeAdapter(Annotated[str, Text(MAX_TEXT)], config=DEFERRED)
_QUERY: TypeAdapter[str] = TypeAdapter(Annotated[str, Text(MAX_QUERY)], config=DEFERRED)
_LANGUAGE: TypeAdapter[str] = TypeAdapter(Annotated[str, Line(35)], config=DEFERRED)


class Place(NamedTuple):
    """Where a memory is: a namespace as it is stored, and a key."""

    namespace: str
    key: str


def audience_name(audience: object) -> str:
    """Return a validated audience, ``owner`` or ``visitor``."""
    return validate(_AUDIENCE, audience, "audience")


def place(namespace: object, key: object) -> Place:
    """Return a validated namespace and key.

    Raises:
        InvalidInputError: names the argument.
    """
    found = joined(namespace, "namespace")
    return Place(found, _short(validate(_KEY, key, "key"), "key"))


def place_to_put(namespace: object, key: object) -> Place:
    """As :func:`place`; at the root, without a label, there are no memories."""
    found = place(namespace, key)
    if not found.namespace:
        raise InvalidInputError("namespace must have at least one label", field="namespace")
    return found


def joined(labels: object, field: str) -> str:
    """Return a namespace as it is stored: labels of at least one character, without a period.

    Raises:
        InvalidInputError: names the argument. An iterator is refused: an operation that is used, or
            runs, a second time would read no labels from it, and concern everything.
    """
    if hasattr(type(labels), "__next__"):  # isinstance() would run code of the value
        raise InvalidInputError(f"{field} must be a sequence of labels", field=field)
    given = listed(labels, field, at_most=MAX_LABELS, of="labels")
    valid = validate(_LABELS, given, field)
    if any(SEPARATOR in label for label in valid):
        raise InvalidInputError(f"{field} has a label with a period", field=field)
    return _short(SEPARATOR.join(valid), field)


def split(namespace: str) -> tuple[str, ...]:
    """Return the labels of a stored namespace."""
    return tuple(namespace.split(SEPARATOR))


def _short(name: str, field: str) -> str:
    if len(_encoded(name, field)) > MAX_NAME:
        raise InvalidInputError(
            f"{field} must not be longer than {MAX_NAME:,} bytes", field=field, limit=MAX_NAME
        )
    return name


def _encoded(text: str, field: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        pass  # it holds the value
    raise InvalidInputError(f"{field} must not contain a lone surrogate", field=field)


def value_and_text(value: object, text: object) -> tuple[dict[str, Any], str]:
    """Return a validated value, and the text whose words find it.

    Without a text, that is every text within the value, names of fields aside.
    """
    valid = validate(_VALUE, value, "value")
    if text is None:
        return valid, _texts(valid)
    given = validate(_TEXT, text, "text")
    _encoded(given, "text")
    return valid, given


def _texts(value: dict[str, Any]) -> str:
    """Return the texts of a valid JSON value, up to the length that is searched."""
    found: list[str] = []
    left = MAX_TEXT
    waiting: list[Any] = [value]
    while waiting and left > 0:
        item = waiting.pop()
        kind = type(item)
        if issubclass(kind, str):
            found.append(str.__str__(item)[:left])
            left -= len(found[-1]) + 1
        elif issubclass(kind, dict):
            waiting += reversed(dict.values(item))
        elif issubclass(kind, list | tuple):
            waiting += reversed(list(item))
    return "\n".join(found)[:MAX_TEXT]


def lifetime(ttl: float | timedelta | None) -> float | None:
    """Return the seconds to live, 1 ms to 100 years, or None."""
    return None if ttl is None else seconds(ttl, "ttl", at_least=0.001, at_most=MAX_TTL)


def language_name(language: object) -> str | None:
    """Return a validated language, such as ``de-CH``."""
    return None if language is None else validate(_LANGUAGE, language, "language")


def query_text(query: object) -> str:
    """Return a validated query; empty for None."""
    if query is None:
        return ""
    valid = validate(_QUERY, query, "query")
    _encoded(valid, "query")
    return valid


def page(limit: object, offset: object) -> dict[str, int]:
    """Return a validated page: ``limit`` 1 to 1,000, ``offset`` up to a million."""
    return {
        "limit": bounded(limit, "limit", at_least=1, at_most=1000),
        "offset": bounded(offset, "offset", at_least=0, at_most=MAX_OFFSET),
    }
