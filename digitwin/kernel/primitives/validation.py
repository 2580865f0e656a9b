"""What callers may hand in, checked before a statement is sent.

Field types for the TypedDicts of the domains, which carry :data:`STRICT`, and functions for
single arguments. Whatever does not fit becomes an ``InvalidInputError`` that names the field
and, where there is one, the limit; the value itself is never repeated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar
from uuid import UUID

import pydantic
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, with_config
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from typing_extensions import TypedDict

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.jsonb import complaint, dumps
from digitwin.kernel.primitives.validation_messages import refusal

__all__ = [
    "PERIOD",
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
    "line",
    "seconds",
    "text",
    "validate",
]

T = TypeVar("T")

STRICT = ConfigDict(extra="forbid", strict=True)
"""No unknown field, and no value that would have to be turned into another first."""

_LINE_BREAKS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Text:
    """``Annotated[str, Text(1000)]``: at most so many characters, all of which can be stored."""

    max_length: int
    min_length: int = 0

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        text = core_schema.str_schema(
            strict=True, min_length=self.min_length, max_length=self.max_length
        )
        return core_schema.no_info_after_validator_function(self.check, text)

    def check(self, value: str) -> str:
        if "\0" in value:
            raise PydanticCustomError("nul", "must not hold a NUL character")
        return value


@dataclass(frozen=True, slots=True)
class Line(Text):
    """``Annotated[str, Line(200)]``: a name or a title, on one line and not blank."""

    min_length: int = 1

    def check(self, value: str) -> str:
        Text.check(self, value)
        if _LINE_BREAKS.search(value):
            raise PydanticCustomError("line", "must be on one line")
        if not value.strip() and self.min_length:
            raise PydanticCustomError("blank", "must not be blank")
        return value


line, text = Line, Text


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("moment", "must be a moment that UTC can tell") from None


def _id(value: Any) -> UUID:
    try:
        return parse_id(value)
    except InvalidInputError:
        raise PydanticCustomError("id", "must be a UUID or its string") from None


def _json(value: Any) -> Any:
    found = complaint(value)
    if found is not None:
        raise PydanticCustomError("json", "{complaint}", {"complaint": found})
    return value


def _json_object(value: Any) -> Any:
    if not isinstance(value, dict):
        raise PydanticCustomError("json_object", "must be a dict")
    return _json(value)


JsonValue = Annotated[Any, AfterValidator(_json)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(_json_object)]
Count = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
Id = Annotated[UUID | str, BeforeValidator(_id)]
"""Given back as a UUID."""
Flag = Annotated[bool, Field(strict=True)]
FiniteFloat = Annotated[float, Field(strict=True, allow_inf_nan=False)]
AwareDatetime = Annotated[pydantic.AwareDatetime, Field(strict=True), AfterValidator(_utc)]
"""A moment, given back in UTC; a naive datetime is refused."""


@with_config(STRICT)
class Period(TypedDict, total=False):
    """From ``since``, included, to ``until``, not included."""

    since: AwareDatetime | None
    until: AwareDatetime | None


PERIOD = TypeAdapter(Period)


def validate(adapter: TypeAdapter[T], data: object, field: str = "input") -> T:
    """The data as the adapter's type; ``field`` names it where it is no dict of fields.

    Raises:
        InvalidInputError: names the first field that does not fit, an unknown one before all.
    """
    try:
        return adapter.validate_python(data)
    except pydantic.ValidationError as error:
        raise refusal(error, field) from None


def bounded(value: object, field: str, *, at_least: int, at_most: int) -> int:
    """A whole number between two bounds, both allowed.

    Raises:
        InvalidInputError: it is none, or lies outside; a bool is no number.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInputError(f"{field} must be a whole number", field=field)
    return _between(value, field, at_least, at_most, "")


def seconds(value: object, field: str, *, at_least: float, at_most: float) -> float:
    """A duration in seconds, from a number of them or a timedelta.

    Raises:
        InvalidInputError: it is neither, or lies outside the bounds.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise InvalidInputError(f"{field} must be seconds or a timedelta", field=field)
    # NaN, which alone differs from itself, is refused above: math.isnan overflows on a huge int.
    return float(_between(value, field, at_least, at_most, " seconds"))


N = TypeVar("N", int, float)


def _between(value: N, field: str, low: float, high: float, unit: str) -> N:
    if low <= value <= high:
        return value
    raise InvalidInputError(
        f"{field} must be between {low} and {high}{unit}",
        field=field,
        limit=low if value < low else high,
    )
