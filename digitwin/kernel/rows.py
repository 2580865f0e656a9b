"""Rows turned into models by a function generated once for each model.

Tortoise asks every field how to convert itself, for every row. Here that question is asked
once: the answer is compiled into one dictionary display, in which only the columns that
need a converter pay for one. The instances equal Tortoise's own in every field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

from tortoise import fields
from tortoise.fields.relational import ReverseRelation

from digitwin.kernel import active
from digitwin.kernel.base import Model
from digitwin.kernel.jsonb import loads

M = TypeVar("M", bound=Model)

_READY = (fields.UUIDField, fields.DatetimeField)
"""Fields whose value arrives from asyncpg as it should be: UUIDs, and datetimes in UTC."""


def columns(model: type[Model], prefix: str = "") -> str:
    """The model's columns for SELECT or RETURNING; known once a handle was opened."""
    assert model._meta._inited, "columns are complete only once the models are wired up"
    return ", ".join(f'{prefix}"{name}"' for name in model._meta.fields_db_projection.values())


def hydrate(model: type[M], record: Mapping[str, Any], client: active.Client | None = None) -> M:
    """An instance as if Tortoise had read it, from a record with all the model's columns.

    ``client`` is where it came from; left out, the handle that is active.
    """
    row: M = _hydrator(model)(record, (client or active.client()).origin)
    return row


def fill(relation: ReverseRelation[M], rows: list[M]) -> None:
    """Give a reverse relation its rows, as Tortoise's prefetch does: no query is left to make."""
    relation._set_result_for_query(rows)


def _converter(field: fields.Field[Any]) -> Callable[[Any], Any] | None:
    """What makes a field's value of what the driver gives; None when that is it already."""
    if isinstance(field, _READY):
        return None
    if type(field) is fields.JSONField:
        return loads
    convert: Callable[[Any], Any] = field.to_python_value
    return convert


@cache
def _hydrator(model: type[Model]) -> Callable[[Mapping[str, Any], str], Any]:
    """Compile the reader of one model's rows."""
    meta = model._meta
    names: dict[str, Any] = {"model": model, "new": object.__new__, "put": object.__setattr__}
    items = [
        "'_partial': False",
        "'_saved_in_db': True",
        f"'_custom_generated_pk': {meta.db_pk_column not in meta.generated_db_fields}",
        "'_await_when_save': {}",
        "'_origin': origin",
    ]
    native = {name for _, name, _ in meta.db_native_fields}
    for name, column in meta.fields_db_projection.items():
        field = meta.fields_map[name]
        value = f"record[{column!r}]"
        convert = _converter(field)
        if name not in native and convert is not None:
            names[f"to_{name}"] = convert
            value = f"to_{name}({value})"
        items.append(f"{name!r}: {value}")
    source = (
        "def hydrate(record, origin):\n"
        "    row = new(model)\n"
        f"    put(row, '__dict__', {{{', '.join(items)}}})\n"
        "    return row\n"
    )
    exec(compile(source, f"<rows of {model.__name__}>", "exec"), names)  # noqa: S102
    return names["hydrate"]  # type: ignore[no-any-return]
