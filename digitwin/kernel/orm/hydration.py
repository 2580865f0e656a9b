"""Turns rows into model instances, by functions generated once for each model.

Tortoise asks every field of every row how to convert its value. A generated function assigns a
slice of the record to the attributes of a bare instance; only columns that need a converter call
one. That takes 0.35 µs for a turn; filling a dictionary, which becomes the instance's, took 0.75.
The instances equal Tortoise's own in every field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from tortoise import fields
from tortoise.fields.relational import ReverseRelation

from digitwin.kernel.connection import driver_errors
from digitwin.kernel.orm.encrypted_text import EncryptedText
from digitwin.kernel.orm.model import Model
from digitwin.kernel.primitives.jsonb import loads
from digitwin.kernel.sql.columns import compact_fields

M = TypeVar("M", bound=Model)

_NATIVE = (fields.UUIDField, fields.DatetimeField)
"""Fields whose values asyncpg returns as they should be: UUIDs, and datetimes in UTC."""


def hydrate(model: type[M], record: Sequence[Any], origin: str) -> M:
    """Return the instance that Tortoise would have read.

    Args:
        record: starts with the columns of :func:`~digitwin.kernel.sql.columns.columns`.
        origin: the handle and the scope it was read with.
    """
    row: M = hydrator(model)(record, origin)
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
    names = list(model._meta.fields_db_projection)
    lines = ["def hydrate(record, origin):", *_row(model, first, names), "    return row"]
    compiled: Callable[[Sequence[Any], str], M] = _compiled(model, lines)
    return compiled


@cache
def compact_hydrator(
    model: type[M], first: int = 0
) -> Callable[[Iterable[Sequence[Any]], Model], list[M]]:
    """Return the function that turns compact records and their parent into instances.

    See :func:`~digitwin.kernel.sql.columns.compact_fields`; ``first`` as for :func:`hydrator`.
    """
    known = model.hidden_with
    assert known is not None
    of_each = [
        *_row(model, first, compact_fields(model)),
        *(f"    row.{here} = {here}" for here in known.keys.values()),
        *_moments(compact_fields(model)),
        "    rows.append(row)",
    ]
    lines = [
        "def hydrate(records, parent):",
        "    origin, rows = parent._origin, []",
        *(f"    {here} = parent.{there}" for there, here in known.keys.items()),
        "    for record in records:",
        *(f"    {line}" for line in of_each),
        "    return rows",
    ]
    compiled: Callable[[Iterable[Sequence[Any]], Model], list[M]] = _compiled(model, lines)
    return compiled


def _moments(names: list[str]) -> list[str]:
    """Return the lines that read the moments of a compact row."""
    optional = [name for name in ("started_at", "ended_at") if name in names]
    changed = [name for name in ("updated_at",) if name in names]

    def read_with(moment: str) -> list[str]:
        return [
            f"        row.created_at = created_at = {moment}(row.created_at)",
            *(
                f"        row.{name} = {moment}(row.{name}) if row.{name} else created_at"
                for name in changed
            ),
            *(
                f"        row.{name} = {moment}(row.{name}) if row.{name}"
                f" else created_at if row.{name} == '' else None"
                for name in optional
            ),
        ]

    return [
        "    try:",
        *read_with("moment"),
        "    except ValueError:",
        *read_with("rare_moment"),
    ]


_INFINITE = {
    "infinity": datetime.max.replace(tzinfo=UTC),
    "-infinity": datetime.min.replace(tzinfo=UTC),
}
"""What Tortoise's models have for them."""


_ISO_DATE = re.compile(r"\d{4,}-\d\d-\d\d ")


def _rare_moment(text: str | datetime) -> datetime:
    """Return a moment that digitwin has not stored; one that was read already as it is.

    Raises:
        StatementFailedError: Python cannot represent it, or it is not in ISO format.
    """
    if isinstance(text, datetime):
        return text
    try:
        return _INFINITE.get(text) or datetime.fromisoformat(text)
    except ValueError:
        raise driver_errors.unreadable_moment(iso=bool(_ISO_DATE.match(text))) from None


def _row(model: type[Model], first: int, names: list[str]) -> list[str]:
    """Return the lines that make an instance with these fields, converted."""
    meta, converters = model._meta, _converters(model)
    targets = ", ".join(f"row.{name}" for name in names)
    return [
        "    row = new(model)",
        "    row._partial = False",
        "    row._saved_in_db = True",
        f"    row._custom_generated_pk = {meta.db_pk_column not in meta.generated_db_fields}",
        "    row._origin = origin",
        f"    {targets}, = record[{first}:{first + len(names)}]",
        *(f"    row.{name} = to_{name}(row.{name})" for name in names if name in converters),
    ]


@cache
def _converters(model: type[Model]) -> dict[str, Callable[[Any], Any]]:
    meta = model._meta
    native = {name for _, name, _ in meta.db_native_fields}
    return {
        name: convert
        for name in meta.fields_db_projection
        if name not in native and (convert := _converter(meta.fields_map[name])) is not None
    }


def _compiled(model: type[Model], lines: list[str]) -> Any:
    names = {f"to_{name}": convert for name, convert in _converters(model).items()}
    names |= {"new": object.__new__, "model": model}
    names |= {"moment": datetime.fromisoformat, "rare_moment": _rare_moment}
    exec(compile("\n".join(lines), f"<rows of {model.__name__}>", "exec"), names)  # noqa: S102
    return names["hydrate"]
