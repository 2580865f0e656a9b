"""Turns rows into model instances, by a function generated once for each model.

Tortoise asks every field of every row how to convert its value. The generated function copies a
dictionary that already has every key, and fills it from the record in one assignment: a third
less time than building the dictionary, and half of looking values up by name. Only columns that
need a converter call one. The instances equal Tortoise's own in every field.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

from tortoise import fields
from tortoise.fields.relational import ReverseRelation

from digitwin.kernel.orm import active_handle
from digitwin.kernel.orm.encrypted_text import EncryptedText
from digitwin.kernel.orm.model import Model
from digitwin.kernel.primitives.jsonb import loads

M = TypeVar("M", bound=Model)

_NATIVE = (fields.UUIDField, fields.DatetimeField)
"""Fields whose values asyncpg returns as they should be: UUIDs, and datetimes in UTC."""


def hydrate(model: type[M], record: Sequence[Any], client: active_handle.Client | None = None) -> M:
    """Return the instance that Tortoise would have read.

    Args:
        record: starts with the columns of :func:`~digitwin.kernel.sql.columns.columns`.
        client: the client it was read with; if unset, the one of the active handle.
    """
    row: M = hydrator(model)(record, (client or active_handle.client()).origin)
    return row


def fill(relation: ReverseRelation[M], rows: list[M]) -> None:
    """Set the rows of a reverse relation, as Tortoise's prefetch does."""
    relation._set_result_for_query(rows)


def _converter(field: fields.Field[Any]) -> Callable[[Any], Any] | None:
    """Return the function that converts the driver's value, or None if none is needed."""
    if isinstance(field, _NATIVE):
        return None
    if isinstance(field, EncryptedText):
        return None  # the repository decrypts it, and refuses plain text then
    if type(field) is fields.JSONField:
        return loads
    convert: Callable[[Any], Any] = field.to_python_value
    return convert


@cache
def hydrator(model: type[M], first: int = 0) -> Callable[[Sequence[Any], str], M]:
    """Return the function that turns a record and its handle's origin into an instance.

    Args:
        first: position in the record of the model's first column.
    """
    meta = model._meta
    fixed = {
        "_partial": False,
        "_saved_in_db": True,
        "_custom_generated_pk": meta.db_pk_column not in meta.generated_db_fields,
    }
    fields_ = list(meta.fields_db_projection)
    blank = dict.fromkeys([*fixed, "_await_when_save", "_origin", *fields_]) | fixed
    native = {name for _, name, _ in meta.db_native_fields}
    converters = {
        f"to_{name}": convert
        for name in fields_
        if name not in native and (convert := _converter(meta.fields_map[name])) is not None
    }
    lines = [
        "def hydrate(record, origin):",
        "    values = blank()",
        "    values['_await_when_save'] = {}",
        "    values['_origin'] = origin",
        f"    {', '.join(f'values[{name!r}]' for name in fields_)}"
        f" = record[{first}:{first + len(fields_)}]",
        *(f"    values[{n[3:]!r}] = {n}(values[{n[3:]!r}])" for n in converters),
        "    row = new(model)",
        "    put(row, '__dict__', values)",
        "    return row",
    ]
    names = {"model": model, "new": object.__new__, "put": object.__setattr__, "blank": blank.copy}
    names |= converters
    exec(compile("\n".join(lines), f"<rows of {model.__name__}>", "exec"), names)  # noqa: S102
    return names["hydrate"]  # type: ignore[return-value]
