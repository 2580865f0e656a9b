"""The ordinary statements of an entity's table, built once for each shape.

Names come from the model alone, values are always bound. A table whose rows belong to a
person is written only while that person lives: the statement itself holds the owner's row
with ``FOR SHARE``, so that no child slips in beside an open deletion. What changes a row records
it in the same statement: the five :func:`~digitwin.kernel.sql.audit_step.parameters` come last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from tortoise import fields
from tortoise.models import Model

from digitwin.kernel.primitives.validation import dumps
from digitwin.kernel.sql import audit_step
from digitwin.kernel.sql.columns import columns

ALIVE = '"deleted_at" IS NULL'
_TOUCH = '"version" = "version" + 1, "updated_at" = now()'


def is_owned(model: type[Model]) -> bool:
    """Whether the table's rows belong to a person."""
    return "user_id" in model._meta.fields_map


def can_hide(model: type[Model]) -> bool:
    """Whether a deletion hides the table's rows."""
    return "deletion_id" in model._meta.fields_map


@cache
def encoder(model: type[Model], name: str) -> Callable[[Any], Any] | None:
    """How a field's value becomes a parameter; None when it goes as it is."""
    return _json if isinstance(model._meta.fields_map[name], fields.JSONField) else None


def _json(value: Any) -> str | None:
    return None if value is None else dumps(value)


def encode(model: type[Model], row: dict[str, Any]) -> list[Any]:
    """A row's values as parameters, in its own order."""
    return [
        value if (convert := encoder(model, name)) is None else convert(value)
        for name, value in row.items()
    ]


@cache
def insert(model: type[Model], names: tuple[str, ...]) -> str:
    """One row; of a living owner only, whose id is then the parameter named ``user_id``."""
    table = model._meta.db_table
    values = ", ".join(f"${n}::{_type(model, name)}" for n, name in enumerate(names, 1))
    owner = ""
    if is_owned(model):
        owner = f" FROM users WHERE id = ${names.index('user_id') + 1} AND {ALIVE} FOR SHARE"
    return _recorded(
        model,
        "create",
        f'INSERT INTO "{table}" ({_list(names)}) SELECT {values}{owner} RETURNING {columns(model)}',
        len(names),
    )


@cache
def insert_many(model: type[Model], names: tuple[str, ...]) -> str:
    """Rows of one shape, given as one array for each column; in their order."""
    table = model._meta.db_table
    arrays = ", ".join(f"${n}::{_type(model, name)}[]" for n, name in enumerate(names, 1))
    owners = ""
    if is_owned(model):
        n = names.index("user_id") + 1
        owners = (
            f" JOIN (SELECT id AS owner FROM users WHERE id = ANY(${n}::uuid[]) AND {ALIVE}"
            " ORDER BY id FOR SHARE) AS living ON living.owner = given.user_id"
        )
    return _recorded(
        model,
        "create",
        f'INSERT INTO "{table}" ({_list(names)}) SELECT {_list(names)}'
        f' FROM unnest({arrays}) WITH ORDINALITY AS given({_list(names)}, "n"){owners}'
        f' ORDER BY "n" RETURNING {columns(model)}',
        len(names),
        many=True,
    )


@cache
def select(
    model: type[Model],
    equal: tuple[str, ...],
    null: tuple[str, ...],
    *,
    hidden: bool,
    what: str | None = None,
    tail: str = "",
) -> str:
    """Rows by equality; ``hidden`` shows deleted ones too; ``tail`` follows the conditions."""
    return (
        f'SELECT {what or columns(model)} FROM "{model._meta.db_table}"'
        f"{where(model, equal, null, hidden=hidden)}{tail}"
    )


def where(
    model: type[Model], equal: Sequence[str], null: Sequence[str], *, hidden: bool, first: int = 1
) -> str:
    """The conditions; parameters are numbered from ``first`` in the order of ``equal``."""
    terms = [_equals(model, name, n) for n, name in enumerate(equal, first)]
    terms += [f'"{name}" IS NULL' for name in null]
    if can_hide(model) and not hidden:
        terms.append(ALIVE)
    return f" WHERE {' AND '.join(terms)}" if terms else ""


def _equals(model: type[Model], name: str, n: int) -> str:
    """A filter on one field; a model may say that it is answered by another table."""
    looked_up: str | None = getattr(model, "looked_up", {}).get(name)
    return f'"{name}" = ${n}' if looked_up is None else looked_up.format(f"${n}")


@cache
def update(model: type[Model], names: tuple[str, ...], equal: tuple[str, ...]) -> str:
    """Set these columns on the living row that equals; version and time move along."""
    return f"WITH {update_steps(model, names, equal)} SELECT * FROM done"


def update_steps(model: type[Model], names: tuple[str, ...], equal: tuple[str, ...]) -> str:
    """The steps of an update, of which ``done`` is the changed row."""
    sets = [f'"{name}" = ${n}' for n, name in enumerate(names, 1)]
    return audit_step.update(
        model,
        names,
        [*sets, '"version" = t."version" + 1, "updated_at" = now()'],
        where(model, equal, (), hidden=False, first=len(names) + 1),
        columns(model, "t."),
        len(names) + len(equal) + 1,
    )


@cache
def hide(model: type[Model], equal: tuple[str, ...]) -> str:
    """Delete softly the living row that equals, with the event.

    $1 is the deletion's id, $2 its reason, $3 who did it. The owner is held first: a real
    deletion of theirs holds them before it comes to this row.
    """
    table = model._meta.db_table
    terms = " AND ".join(f't."{name}" = ${n}' for n, name in enumerate(equal, 4))
    return _recorded(
        model,
        "delete",
        f'WITH owner AS (SELECT id FROM users WHERE id = (SELECT t.user_id FROM "{table}" t'
        f" WHERE {terms} AND t.deleted_at IS NULL) FOR KEY SHARE)"
        f' UPDATE "{table}" AS t SET "deleted_at" = now(), "deletion_id" = $1,'
        ' "version" = t."version" + 1, "updated_at" = now() FROM owner'
        f" WHERE t.user_id = owner.id AND {terms} AND t.deleted_at IS NULL"
        f" RETURNING {columns(model, 't.')}",
        len(equal) + 3,
        also=", noted AS ("
        "INSERT INTO deletions (user_id, id, resource, resource_id, reason, actor_id)"
        f" SELECT user_id, $1::uuid, '{resource(model)}', id, $2::varchar, $3::uuid FROM done)",
    )


@cache
def hold_owner(model: type[Model], equal: tuple[str, ...]) -> str:
    """Lock the owner of a row before the row: as whoever ends a deletion does."""
    terms = " AND ".join(f't."{name}" = ${n}' for n, name in enumerate(equal, 1))
    return (
        "SELECT id FROM users WHERE id ="
        f' (SELECT t.user_id FROM "{model._meta.db_table}" t WHERE {terms}) FOR SHARE'
    )


@cache
def finish_deletion(model: type[Model]) -> str:
    """The event of the row $1 alone is over: the row is about to go for real."""
    return (
        "UPDATE deletions AS d SET final_at = now()"
        f' FROM "{model._meta.db_table}" AS t WHERE t.id = $1 AND t.deleted_at IS NOT NULL'
        " AND d.user_id = t.user_id AND d.id = t.deletion_id AND d.resource_id = t.id"
        " AND d.restored_at IS NULL AND d.final_at IS NULL"
    )


def resource(model: type[Model]) -> str:
    """What a row of this table is called in an event."""
    name: str = model.resource  # type: ignore[attr-defined]
    return name


@cache
def show(model: type[Model], equal: tuple[str, ...]) -> str:
    """Take a deletion back, under a living owner only; the event says so, once all is back.

    A release before this one could hide several rows with one deletion. The table still shows
    the row as it was before the statement.
    """
    table = model._meta.db_table
    terms = " AND ".join(f't."{name}" = ${n}' for n, name in enumerate(equal, 1))
    return _recorded(
        model,
        "restore",
        "WITH owner AS (SELECT id FROM users WHERE deleted_at IS NULL AND id ="
        f' (SELECT t.user_id FROM "{table}" t WHERE {terms}) FOR SHARE)'
        f' UPDATE "{table}" AS t SET "deleted_at" = NULL, "deletion_id" = NULL,'
        f' "version" = t."version" + 1, "updated_at" = now() FROM owner'
        f" WHERE t.user_id = owner.id AND {terms} AND t.deleted_at IS NOT NULL"
        f" RETURNING {columns(model, 't.')}",
        len(equal),
        also=", noted AS (UPDATE deletions AS d SET restored_at = now()"
        f' FROM done JOIN "{table}" AS was ON was.user_id = done.user_id AND was.id = done.id'
        " WHERE d.user_id = was.user_id AND d.id = was.deletion_id AND NOT EXISTS ("
        f'SELECT 1 FROM "{table}" AS o WHERE o.user_id = was.user_id'
        " AND o.deletion_id = was.deletion_id AND o.id <> was.id))",
    )


@cache
def remove(model: type[Model], equal: tuple[str, ...]) -> str:
    """Delete for real."""
    return _recorded(
        model,
        "hard_delete",
        f'DELETE FROM "{model._meta.db_table}"{where(model, equal, (), hidden=True)}'
        f" RETURNING {columns(model)}",
        len(equal),
        what="id",
    )


def _recorded(
    model: type[Model],
    verb: str,
    sql: str,
    values: int,
    *,
    many: bool = False,
    what: str = "*",
    also: str = "",
) -> str:
    """A statement and, as its last five parameters, the record of what it did.

    ``also`` is a further step, after a comma; ``done`` is what the statement gives.
    """
    record = audit_step.insert(model, verb, values + 1, many=many)
    return f"WITH done AS ({sql}), recorded AS ({record}){also} SELECT {what} FROM done"


def nulls(model: type[Model]) -> str:
    """A null for each of :func:`~digitwin.kernel.orm.hydration.columns`, of its type."""
    return ", ".join(f"NULL::{_type(model, name)}" for name in model._meta.fields_db_projection)


def _list(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _type(model: type[Model], name: str) -> str:
    """The column's type for a cast; without a length, which a cast would cut to in silence."""
    declared: str = model._meta.fields_map[name].get_for_dialect("postgres", "SQL_TYPE")
    bare = declared.partition("(")[0]
    return "text" if bare == "VARCHAR" else bare
