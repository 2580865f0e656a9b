"""Fields and filters of consents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import AfterValidator, TypeAdapter, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.validation import (
    DEFERRED,
    STRICT,
    AwareDatetime,
    JsonObject,
    line,
    seconds,
    validate,
)

Purpose = Literal["voice", "face", "recording"]

Permits: TypeAlias = Mapping[str, str]
"""By purpose, the table whose models may be active only while a consent to it is in force."""

CENTURY = 100 * 366 * 86_400.0


def _says_something(value: dict[str, Any]) -> dict[str, Any]:
    if not value:
        raise PydanticCustomError("evidence", "must say how the person agreed")
    return value


Evidence = Annotated[JsonObject, AfterValidator(_says_something)] | Annotated[str, line(2000)]
"""How the person agreed: a JSON object, such as a form's version and its witness, or a line."""


@with_config(STRICT)
class NewConsent(TypedDict):
    """The validated arguments of ``grant``."""

    purpose: Purpose
    evidence: Evidence


@with_config(STRICT)
class ConsentFilters(TypedDict, total=False):
    """Filters of ``list``."""

    user_id: UUID | str
    purpose: Purpose


NEW: TypeAdapter[Any] = TypeAdapter(NewConsent)
FILTERS: TypeAdapter[Any] = TypeAdapter(ConsentFilters)
PURPOSE: TypeAdapter[Purpose] = TypeAdapter(Purpose, config=DEFERRED)
_MOMENT: TypeAdapter[datetime] = TypeAdapter(AwareDatetime, config=DEFERRED)


def expiry(value: object) -> tuple[datetime | None, float | None]:
    """Return the time at which a consent expires, or the seconds after which it does.

    Seconds are added by the database, whose clock decides. Both are None if it never expires.

    Raises:
        InvalidInputError: the value is of another type, naive, or out of range.
    """
    if value is None:
        return None, None
    kind = type(value)  # not isinstance(), which asks the value
    if issubclass(kind, datetime):
        return validate(_MOMENT, value, "expires"), None
    if issubclass(kind, (int, float, timedelta)):
        return None, seconds(value, "expires", at_least=0.001, at_most=CENTURY)
    raise InvalidInputError(
        "expires must be a datetime, a timedelta or a number of seconds", field="expires"
    )
