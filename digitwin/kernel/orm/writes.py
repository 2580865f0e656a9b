"""Which columns a model may write, and how values are converted and validated.

Columns of the database and columns that only a repository may change are refused; the error
names the method to use. An invalid value is refused by its field before anything is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from tortoise import fields
from tortoise.exceptions import BaseORMException
from tortoise.fields.relational import RelationalField
from tortoise.models import Model

from digitwin.errors import InvalidInputError, InvalidStateError
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.kernel.primitives.jsonb import dumps, json_error, text_error

READ_ONLY = frozenset(
    {"id", "user_id", "created_at", "updated_at", "version", "deleted_at", "deletion_id"}
)
"""Columns no model writes: they are set once, or by every statement that updates."""

_NIL = str(NOBODY)

CONVERSION_ERRORS = (
    BaseORMException,
    AttributeError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What a field raises for a value that it cannot convert."""


def repository_only(model: type[Model]) -> Mapping[str, str]:
    """Return the columns that only a repository may change, each with the method to use."""
    found: Mapping[str, str] = getattr(model, "change_through", {})
    return found


def saved_columns(model: type[Model], names: Iterable[str] | None) -> list[str]:
    """Return the columns that a save of these fields writes or compares.

    Args:
        names: the fields; None means all.

    Raises:
        InvalidInputError: there is no such field.
        InvalidStateError: no model may write it.
    """
    fixed = READ_ONLY | {model._meta.pk_attr}
    if names is None:
        return [name for name in model._meta.fields_db_projection if name not in fixed]
    found = [_column(model, name) for name in names]
    for column in found:
        if column in fixed:
            raise InvalidStateError(f"{column} cannot be changed on a model", field=column)
    return found


def refuse_repository_only(model: type[Model], names: Iterable[str]) -> None:
    """Refuse fields that only a repository may change; errors as :func:`saved_columns`."""
    for column in saved_columns(model, names):
        if column in repository_only(model):
            raise through_repository(model, column)


def through_repository(model: type[Model], column: str) -> InvalidStateError:
    """Return the error for a column that only a repository may change."""
    return InvalidStateError(
        f"Change {column} through the repository: {repository_only(model)[column]}", field=column
    )


def refuse_creation(model: type[Model]) -> None:
    """Refuse to insert where only a repository may."""
    method: str | None = getattr(model, "create_through", None)
    if method is not None:
        raise InvalidStateError(f"Create through the repository: {method}")


def to_column(model: type[Model], name: str, value: Any, instance: Any = None) -> Any:
    """Return a field's value as the driver takes it.

    Raises:
        InvalidInputError: the value is invalid; the message does not contain it.
    """
    field = model._meta.fields_map[name]
    if isinstance(field, fields.JSONField):
        return None if value is None and field.null else _json(name, value)
    refuse_naive(name, value)
    try:
        converted, refused = field.to_db_value(value, instance), None
    except CONVERSION_ERRORS:
        refused = InvalidInputError(f"{name} cannot be stored in its column", field=name)
    if refused is not None:  # outside the handler: the field's error repeats the value
        try:
            raise refused
        finally:
            del refused
    found = text_error(converted) if isinstance(converted, str) else None
    if found is not None:
        raise InvalidInputError(f"{name} {found}", field=name)
    # Where it is the default, a row may concern nobody.
    if isinstance(field, fields.UUIDField) and converted == _NIL and field.default != NOBODY:
        raise InvalidInputError(f"{name} must not be the nil UUID", field=name)
    return converted


def is_as_decrypted(instance: Any, name: str) -> bool:
    """Whether an encrypted field still holds what a repository decrypted.

    The column holds the encrypted value then, so a save cannot compare the two.
    """
    decrypted = instance.__dict__.get("_decrypted", {})
    return name in decrypted and decrypted[name] == instance.__dict__[name]


def refuse_naive(name: str, value: Any) -> None:
    """Refuse a datetime without a time zone: Tortoise would guess one."""
    if isinstance(value, datetime) and value.tzinfo is None:
        raise InvalidInputError(f"{name} must carry a time zone", field=name)


def _json(name: str, value: Any) -> str:
    found = json_error(value)
    if found is not None:
        raise InvalidInputError(f"{name} {found}", field=name)
    return dumps(value)


def _column(model: type[Model], name: str) -> str:
    """Return the column of a field; a relation is stored in the column of its key."""
    meta = model._meta
    field = meta.pk if name == "pk" else meta.fields_map.get(name)
    if isinstance(field, RelationalField):
        name = field.source_field or name
    elif field is not None:
        name = field.model_field_name
    if name not in meta.fields_db_projection:
        raise InvalidInputError(f"unknown field {name[:100]!r}", field=name[:100])
    return name
