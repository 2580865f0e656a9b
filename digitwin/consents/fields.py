"""What a consent is made of, as callers give it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, TypeAdapter, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.validation import (
    STRICT,
    AwareDatetime,
    JsonObject,
    line,
    seconds,
    validate,
)

Purpose = Literal["voice", "face", "recording"]

CENTURY = 100 * 366 * 86_400.0


def _says_something(value: dict[str, Any]) -> dict[str, Any]:
    if not value:
        raise PydanticCustomError("evidence", "must say how the person agreed")
    return value


Evidence = Annotated[JsonObject, AfterValidator(_says_something)] | Annotated[str, line(2000)]
"""How the person agreed: a dict for JSON, such as a form's version and who took it, or a line."""


@with_config(STRICT)
class NewConsent(TypedDict):
    """What ``grant`` is told."""

    purpose: Purpose
    evidence: Evidence


@with_config(STRICT)
class ConsentFilters(TypedDict, total=False):
    """What ``list`` can ask for."""

    user_id: UUID | str
    purpose: Purpose


NEW: TypeAdapter[Any] = TypeAdapter(NewConsent)
FILTERS: TypeAdapter[Any] = TypeAdapter(ConsentFilters)
PURPOSE: TypeAdapter[Purpose] = TypeAdapter(Purpose)
_MOMENT: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


def expiry(value: object) -> tuple[datetime | None, float | None]:
    """A moment, or seconds from the database's now; neither: no end is set.

    Raises:
        InvalidInputError: it is none of these, or no time at all.
    """
    if value is None:
        return None, None
    if isinstance(value, datetime):
        return validate(_MOMENT, value, "expires"), None
    if isinstance(value, (int, float, timedelta)):
        return None, seconds(value, "expires", at_least=0.001, at_most=CENTURY)
    raise InvalidInputError(
        "expires must be a datetime, a timedelta or a number of seconds", field="expires"
    )
