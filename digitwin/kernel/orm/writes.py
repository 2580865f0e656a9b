"""What a model may write by itself, and in which form a value is stored.

What the database keeps, and what only a repository can keep right, is refused with the name
of the method that does it; a value that does not fit is refused by its field's name, before
anything is sent.
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
from digitwin.kernel.primitives.jsonb import complaint, complaint_about_text, dumps

FIXED = frozenset(
    {"id", "user_id", "created_at", "updated_at", "version", "deleted_at", "deletion_id"}
)
"""What no model writes: it is set once, or moves with every change."""

UNFIT = (BaseORMException, AttributeError, OverflowError, TypeError, ValueError)
"""What a conversion raises for a value that it cannot convert."""


def guarded(model: type[Model]) -> Mapping[str, str]:
    """The columns that only a repository changes, and by which method."""
    found: Mapping[str, str] = getattr(model, "change_through", {})
    return found


def columns(model: type[Model], names: Iterable[str] | None) -> list[str]:
    """The columns that a save of these fields writes or compares; None means all.

    Raises:
        InvalidInputError: there is no such field.
        InvalidStateError: it is one that no model writes.
    """
    fixed = FIXED | {model._meta.pk_attr}
    if names is None:
        return [name for name in model._meta.fields_db_projection if name not in fixed]
    found = [_column(model, name) for name in names]
    for column in found:
        if column in fixed:
            raise InvalidStateError(f"{column} is not for a model to change", field=column)
    return found


def refuse_guarded(model: type[Model], names: Iterable[str]) -> None:
    """Refuse to write these fields where only a repository may; errors as :func:`columns`."""
    for column in columns(model, names):
        if column in guarded(model):
            raise through_repository(model, column)


def through_repository(model: type[Model], column: str) -> InvalidStateError:
    """Why this column is not changed on the model."""
    return InvalidStateError(
        f"Change {column} through the repository: {guarded(model)[column]}", field=column
    )


def refuse_creation(model: type[Model]) -> None:
    """Refuse a new row where only a repository can make it."""
    method: str | None = getattr(model, "create_through", None)
    if method is not None:
        raise InvalidStateError(f"Create through the repository: {method}")


def stored(model: type[Model], name: str, value: Any, instance: Any = None) -> Any:
    """A field's value as the driver takes it.

    Raises:
        InvalidInputError: it does not fit; the value itself is not repeated.
    """
    field = model._meta.fields_map[name]
    if isinstance(field, fields.JSONField):
        return None if value is None and field.null else _json(name, value)
    refuse_naive(name, value)
    try:
        converted = field.to_db_value(value, instance)
    except UNFIT as error:
        raise InvalidInputError(f"{name} does not fit into its column", field=name) from error
    found = complaint_about_text(converted) if isinstance(converted, str) else None
    if found is not None:
        raise InvalidInputError(f"{name} {found}", field=name)
    return converted


def still_as_opened(instance: Any, name: str) -> bool:
    """Whether this is a sensitive field as a repository showed it, which is not how it stands."""
    opened = instance.__dict__.get("_opened", {})
    return name in opened and opened[name] == instance.__dict__[name]


def refuse_naive(name: str, value: Any) -> None:
    """Refuse a moment that does not say its zone: Tortoise would guess one."""
    if isinstance(value, datetime) and value.tzinfo is None:
        raise InvalidInputError(f"{name} must carry a time zone", field=name)


def _json(name: str, value: Any) -> str:
    found = complaint(value)
    if found is not None:
        raise InvalidInputError(f"{name} {found}", field=name)
    return dumps(value)


def _column(model: type[Model], name: str) -> str:
    """Where a field is stored: a relation in the column of its key."""
    meta = model._meta
    field = meta.pk if name == "pk" else meta.fields_map.get(name)
    if isinstance(field, RelationalField):
        name = field.source_field or name
    elif field is not None:
        name = field.model_field_name
    if name not in meta.fields_db_projection:
        raise InvalidInputError(f"unknown field {name[:100]!r}", field=name[:100])
    return name
