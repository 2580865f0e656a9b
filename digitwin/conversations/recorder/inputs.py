"""What callers pass to a recorder, checked before anything is accepted.

Texts come many times a second, so they are checked without pydantic.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, cast

from pydantic import TypeAdapter, with_config
from typing_extensions import TypedDict

from digitwin.conversations.content.fields import MAX_QUOTE, ItemKind, Name
from digitwin.conversations.fields import MAX_TEXT, STAGES, Language
from digitwin.conversations.figures import Figures, figures
from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.jsonb import dumps, json_error, text_error
from digitwin.kernel.primitives.validation import (
    DEFERRED,
    STRICT,
    AwareDatetime,
    FiniteFloat,
    Flag,
    Id,
    text,
    validate,
)

EndStatus = Literal["completed", "interrupted", "abandoned"]

LANGUAGE: TypeAdapter[str] = TypeAdapter(Language, config=DEFERRED)
END_STATUS: TypeAdapter[EndStatus] = TypeAdapter(EndStatus, config=DEFERRED)
_MOMENT: TypeAdapter[datetime] = TypeAdapter(AwareDatetime, config=DEFERRED)
_NAME: TypeAdapter[str] = TypeAdapter(Name, config=DEFERRED)


@with_config(STRICT)
class ItemLabels(TypedDict, total=False):
    """What an item has besides its payload."""

    kind: ItemKind
    name: Name | None
    call_id: Name | None
    item_id: Name | None
    is_error: Flag
    started_at: AwareDatetime | None
    ended_at: AwareDatetime | None


@with_config(STRICT)
class SourceFields(TypedDict, total=False):
    """What is known of a source."""

    document_id: Id | None
    passage: Name | None
    score: FiniteFloat | None
    quote: Annotated[str, text(MAX_QUOTE)] | None


ITEM = TypeAdapter(ItemLabels)
SOURCE = TypeAdapter(SourceFields)


def said(value: object, field: str) -> str:
    """Return a text of at most ``MAX_TEXT`` characters that PostgreSQL can store.

    Raises:
        InvalidInputError: it is no such text.
    """
    kind = type(value)
    if not issubclass(kind, str):
        raise InvalidInputError(f"{field} must be a string", field=field)
    plain = cast(str, value) if kind is str else str.__str__(value)
    if len(plain) > MAX_TEXT:
        raise InvalidInputError(
            f"{field} must have at most {MAX_TEXT} characters", field=field, limit=MAX_TEXT
        )
    fault = text_error(plain)
    if fault is not None:
        raise InvalidInputError(f"{field} {fault}", field=field)
    return plain


def moment(value: object) -> datetime:
    """Return a time in UTC.

    Raises:
        InvalidInputError: it is no time, or has no time zone.
    """
    return validate(_MOMENT, value, "at")


def name(value: object, field: str) -> str:
    """Return a name of one line, up to 200 characters.

    Raises:
        InvalidInputError: it is no such name.
    """
    return validate(_NAME, value, field)


def payload(value: Any, field: str) -> tuple[Any, int]:
    """Return a copy of a JSON value, which the caller may change later, and its size in bytes.

    Raises:
        InvalidInputError: it is no JSON value, or too large.
    """
    fault = json_error(value)
    if fault is not None:
        raise InvalidInputError(f"{field} {fault}", field=field)
    return _copy(value), len(dumps(value))


def _copy(value: Any) -> Any:
    kind = type(value)
    if issubclass(kind, dict):
        return {str(key): _copy(item) for key, item in dict.items(value)}
    if issubclass(kind, list | tuple):
        return [_copy(item) for item in value]
    return value


def stage(stage: object, ms: object) -> Figures:
    """Return a stage's duration under the name of its column, or what fits no column.

    Raises:
        InvalidInputError: the stage has no name.
    """
    plain = name(stage, "stage")
    if plain not in STAGES and f"{plain}_ms" in STAGES:
        plain = f"{plain}_ms"
    return figures({plain: ms}, STAGES, "stage")
