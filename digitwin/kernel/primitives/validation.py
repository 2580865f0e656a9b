"""Validation of arguments, before any statement is sent.

Field types for the domains' TypedDicts, which use :data:`STRICT`, and functions for single
arguments; :mod:`iterables` reads lists of rows. Invalid input raises an ``InvalidInputError``
that names the field and the limit, if any; it never contains the value.

A value's own methods may do anything. Kinds are therefore compared by ``type``, and a subclass of
``int`` or ``float`` is converted by the base class's method.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import pydantic
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, with_config
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from typing_extensions import TypedDict

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.jsonb import dumps, json_error
from digitwin.kernel.primitives.validation_messages import refusal

__all__ = [
    "DEFERRED",
    "MAX_FIELDS",
    "PERIOD",
    "PLAIN_DICT",
    "STRICT",
    "AwareDatetime",
    "Count",
    "FiniteFloat",
    "Flag",
    "Id",
    "JsonObject",
    "JsonValue",
    "Line",
    "Period",
    "Text",
    "bounded",
    "dumps",
    "is_blank",
    "line",
    "seconds",
    "text",
    "validate",
]

T = TypeVar("T")

DEFERRED = ConfigDict(defer_build=True)
"""An adapter is built at its first use: each takes a millisecond, and there are dozens."""
STRICT = ConfigDict(extra="forbid", strict=True, defer_build=True)
"""Unknown fields and type coercion are refused."""

_LINE_BREAKS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_INVISIBLE = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that show nothing: Hangul fillers and the empty Braille pattern."""


@dataclass(frozen=True, slots=True)
class Text:
    """``Annotated[str, Text(1000)]``: a maximum length, and characters PostgreSQL can store."""

    max_length: int
    min_length: int = 0

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        text = core_schema.str_schema(
            strict=True, min_length=self.min_length, max_length=self.max_length
        )
        return core_schema.no_info_after_validator_function(self.check, text)

    def check(self, value: str) -> str:
        if "\0" in value:
            raise PydanticCustomError("nul", "must not contain a NUL character")
        return value


@dataclass(frozen=True, slots=True)
class Line(Text):
    """``Annotated[str, Line(200)]``: a single line that is not blank."""

    min_length: int = 1

    def check(self, value: str) -> str:
        Text.check(self, value)
        if _LINE_BREAKS.search(value):
            raise PydanticCustomError("line", "must be on one line")
        if self.min_length and is_blank(value):
            raise PydanticCustomError("blank", "must not be blank")
        return value


line, text = Line, Text


def is_blank(value: str) -> bool:
    """Return whether a text shows nothing.

    Blank are spaces, control and format characters (zero-width ones, joiners, byte order marks)
    and combining marks without a character to combine with.
    """
    if value.isascii():
        return not value.strip()
    return all(map(_shows_nothing, value))


def _shows_nothing(character: str) -> bool:
    return character in _INVISIBLE or unicodedata.category(character).startswith(_NOT_SHOWN)


_NOT_SHOWN = ("Z", "M", "Cc", "Cf", "Cs")
"""Categories; an unassigned character may be a newer Unicode's, a private one has some font."""


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except Exception:  # noqa: BLE001 - out of range, or raised by the time zone
        raise PydanticCustomError("moment", "must be a time that can be converted to UTC") from None


def _id(value: Any) -> UUID:
    try:
        return parse_id(value)
    except InvalidInputError as error:
        reason = str(error).removeprefix("id ")
        raise PydanticCustomError("id", "{reason}", {"reason": reason}) from None


def _json(value: Any) -> Any:
    found = json_error(value)
    if found is not None:
        raise PydanticCustomError("json", "{error}", {"error": found})
    return value


def _json_object(value: Any) -> Any:
    if not issubclass(type(value), dict):
        raise PydanticCustomError("json_object", "must be a dict")
    return _json(value)


def _plain_dict(value: Any) -> Any:
    kind = type(value)
    if not issubclass(kind, dict):
        return value
    if dict.__len__(value) > MAX_FIELDS:
        raise PydanticCustomError("fields", "has more fields than there are")
    return value if kind is dict else dict(zip(dict.keys(value), dict.values(value), strict=True))


MAX_FIELDS: Final = 1000
"""Fields of a row; more than any table has."""
PLAIN_DICT = BeforeValidator(_plain_dict)
"""For a TypedDict within another value: its fields are read once, and there are not too many."""
JsonValue = Annotated[Any, AfterValidator(_json)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(_json_object)]
Count = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
Id = Annotated[UUID | str, BeforeValidator(_id)]
"""Validated to a UUID, not the nil UUID."""
ArtifactUri = Annotated[str, line(2048)]
"""Where an object is kept in the service's own storage."""
Checksum = Annotated[str, line(128)]
Flag = Annotated[bool, Field(strict=True)]
FiniteFloat = Annotated[
    float, Field(strict=True, allow_inf_nan=False), AfterValidator(lambda value: value + 0.0)
]
"""Without the sign of -0.0, which JSON's -0 does not keep."""
AwareDatetime = Annotated[pydantic.AwareDatetime, Field(strict=True), AfterValidator(_utc)]
"""Validated to UTC; a naive datetime is refused."""


@with_config(STRICT)
class Period(TypedDict, total=False):
    """From ``since`` (inclusive) to ``until`` (exclusive)."""

    since: AwareDatetime | None
    until: AwareDatetime | None


PERIOD = TypeAdapter(Period)


def validate(adapter: TypeAdapter[T], data: object, field: str = "input") -> T:
    """Validate data with the adapter.

    Args:
        adapter: the type.
        data: a dict of fields, or a single value.
        field: the name of a single value, for the error.

    Raises:
        InvalidInputError: names the first invalid field; unknown fields come first.
    """
    try:
        return adapter.validate_python(data)
    except pydantic.ValidationError as error:
        refused = refusal(error, field)
    except InvalidInputError:
        raise
    except Exception as error:  # noqa: BLE001 - raised by a method of the value
        refused = unreadable(field, error)
    try:
        raise refused  # outside the handlers: their errors hold the value
    finally:
        del refused  # else error and frame refer to each other, until a garbage collection


def unreadable(field: str, error: Exception) -> InvalidInputError:
    """Return the error for a value whose own methods raised; their message may be personal."""
    return InvalidInputError(f"{field} cannot be read ({type(error).__name__})", field=field)


def bounded(value: object, field: str, *, at_least: int, at_most: int) -> int:
    """Validate an integer between two bounds, inclusive.

    Raises:
        InvalidInputError: it is not an integer (a bool is not), or is out of range.
    """
    if type(value) is not int:
        if type(value) is bool or not issubclass(type(value), int):
            raise InvalidInputError(f"{field} must be a whole number", field=field)
        value = int.__int__(value)  # type: ignore[arg-type]
    return _between(value, field, at_least, at_most, "")


def seconds(value: object, field: str, *, at_least: float, at_most: float) -> float:
    """Validate a duration, given as seconds or ``timedelta``; return seconds.

    Raises:
        InvalidInputError: it is neither, or is out of range.
    """
    number = _number(value)
    # `number != number` refuses NaN; math.isnan would overflow on a huge int.
    if number is None or number != number:
        raise InvalidInputError(f"{field} must be seconds or a timedelta", field=field)
    return float(_between(number, field, at_least, at_most, " seconds"))


def _number(value: Any) -> int | float | None:
    """Return a duration as a number of the built-in types, or None if it is of another type."""
    kind = type(value)
    if kind is int or kind is float:
        number: int | float = value
        return number
    if kind is bool:
        return None
    if issubclass(kind, timedelta):
        return timedelta.total_seconds(value)
    if issubclass(kind, float):
        return float.__float__(value)
    return int.__int__(value) if issubclass(kind, int) else None


N = TypeVar("N", int, float)


def _between(value: N, field: str, low: float, high: float, unit: str) -> N:
    if low <= value <= high:
        return value
    raise InvalidInputError(
        f"{field} must be between {low} and {high}{unit}",
        field=field,
        limit=low if value < low else high,
    )
