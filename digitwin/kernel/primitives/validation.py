"""Validation of arguments, before any statement is sent.

Field types for the domains' TypedDicts, which use :data:`STRICT`, and functions for single
arguments. Invalid input raises an ``InvalidInputError`` that names the field and the limit, if
any; it never contains the value.
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
from digitwin.kernel.primitives.jsonb import dumps, json_error
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
"""Unknown fields and type coercion are refused."""

_LINE_BREAKS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


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
        if not value.strip() and self.min_length:
            raise PydanticCustomError("blank", "must not be blank")
        return value


line, text = Line, Text


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("moment", "must be a time that can be converted to UTC") from None


def _id(value: Any) -> UUID:
    try:
        return parse_id(value)
    except InvalidInputError:
        raise PydanticCustomError("id", "must be a UUID or its string") from None


def _json(value: Any) -> Any:
    found = json_error(value)
    if found is not None:
        raise PydanticCustomError("json", "{error}", {"error": found})
    return value


def _json_object(value: Any) -> Any:
    if not isinstance(value, dict):
        raise PydanticCustomError("json_object", "must be a dict")
    return _json(value)


JsonValue = Annotated[Any, AfterValidator(_json)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(_json_object)]
Count = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
Id = Annotated[UUID | str, BeforeValidator(_id)]
"""Validated to a UUID."""
Flag = Annotated[bool, Field(strict=True)]
FiniteFloat = Annotated[float, Field(strict=True, allow_inf_nan=False)]
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
        raise refusal(error, field) from None


def bounded(value: object, field: str, *, at_least: int, at_most: int) -> int:
    """Validate an integer between two bounds, inclusive.

    Raises:
        InvalidInputError: it is not an integer (a bool is not), or is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInputError(f"{field} must be a whole number", field=field)
    return _between(value, field, at_least, at_most, "")


def seconds(value: object, field: str, *, at_least: float, at_most: float) -> float:
    """Validate a duration, given as seconds or ``timedelta``; return seconds.

    Raises:
        InvalidInputError: it is neither, or is out of range.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise InvalidInputError(f"{field} must be seconds or a timedelta", field=field)
    # `value != value` above refuses NaN; math.isnan would overflow on a huge int.
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
