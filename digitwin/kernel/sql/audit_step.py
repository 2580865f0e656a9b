"""The audit step: inserts the audit record in the statement that makes the change.

The statement becomes steps of one WITH: ``before`` locks the row and keeps its old values,
``done`` changes and returns it, ``recorded`` inserts the record. Change and record are atomic,
without an extra round trip. The record has no RETURNING: a role that may only insert into the
trail may not read it.

The model defines its records: ``resource`` is its name in the trail, ``audited`` lists fields
whose values are recorded, ``actions`` maps fields to an action of their own. Of other fields only
the name is recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.primitives.validation import dumps
from digitwin.kernel.sql import actor

if TYPE_CHECKING:
    from tortoise.models import Model

COLUMNS = (
    "user_id, id, action, resource, resource_id, actor_id, result, ip_address, user_agent, metadata"
)


_ONE = ":audit_id::uuid"
_LISTED = "(:audit_id::uuid[])[row_number() OVER ()]"
_NUMBERED = "(left(:audit_id::uuid::text, 28) || lpad(to_hex(row_number() OVER ()), 8, '0'))::uuid"
"""The ids of the records: one, one of a list for each row, or one whose random tail is replaced by
the row's number. The tail is not needed for uniqueness: the rest is one process's counter."""


def is_recorded(model: type[Model]) -> bool:
    """Return whether changes of the table's rows are audited."""
    return getattr(model, "resource", None) is not None


def insert(model: type[Model], verb: str, *, many: bool = False) -> str:
    """Return the step that records each row of ``done``; it ends with ``FROM done``.

    Args:
        model: the model of the changed row.
        verb: what was done; the action is ``resource.verb``.
        many: ``audit_id`` is a list of ids, one per row.
    """
    return _insert(model, _action(model, verb), id=_LISTED if many else _ONE)


def _insert_change(model: type[Model], names: Iterable[str], *, id: str = _ONE) -> str:
    """As :func:`insert`, for an update of these fields, with old values from ``before``."""
    names = tuple(names)
    action = _action(model, "update")
    for name, verb in getattr(model, "actions", {}).items():
        if name in names:
            action = f"CASE WHEN {_differs(name)} THEN {_action(model, verb)} ELSE {action} END"
    changes = _changes(model, names)
    return f"{_insert(model, action, id=id, metadata=changes)} JOIN before"


def update(
    model: type[Model],
    names: Sequence[str],
    sets: Sequence[str],
    where: str,
    returning: str,
    *,
    one: bool = False,
) -> str:
    """Return the three steps of an update: ``before``, ``done`` and ``recorded``.

    Args:
        model: the model of the row.
        names: the fields to set.
        sets: the assignments; ``t`` is the changed row.
        where: the condition, with a leading ``WHERE``.
        returning: the columns of ``t`` that ``done`` returns, ``names`` and the key among them.
        one: fail if the condition finds rows of two people.
    """
    table, key = model._meta.db_table, _key(model)
    kept = ", ".join(f'"{name}"' for name in dict.fromkeys((*key, *names)))
    same = " AND ".join(f't."{name}" = before."{name}"' for name in key)
    if one:
        same += ' AND t."user_id" = (SELECT "user_id" FROM before)'
    return (
        f'before AS (SELECT {kept} FROM "{table}"{where} FOR NO KEY UPDATE),'
        f' done AS (UPDATE "{table}" AS t SET {", ".join(sets)} FROM before WHERE {same}'
        f" RETURNING {returning}),"
        f" recorded AS ({_insert_change(model, names)} ON true)"
    )


def insert_numbered(model: type[Model], verb: str, metadata: str = "") -> str:
    """As :func:`insert`, for any number of rows: their ids are one id, numbered.

    Args:
        metadata: SQL that adds to each record's metadata, with a leading ``||``.
    """
    return _insert(model, _action(model, verb), id=_NUMBERED, metadata=metadata)


def update_many(model: type[Model], names: Sequence[str], rows: str, update: str) -> str:
    """Return the steps of an update of many rows: ``before``, ``done`` and ``recorded``.

    Args:
        model: the model of the rows.
        names: the fields to set.
        rows: the clauses that select the rows, from ``FROM`` on.
        update: the update up to its condition; it names no columns of ``before``.
    """
    key = _key(model)
    listed = ", ".join(f'"{name}"' for name in key)
    kept = ", ".join(f'"{name}"' for name in dict.fromkeys((*key, *names)))
    same = " AND ".join(f'before."{name}" = done."{name}"' for name in key)
    return (
        f"before AS (SELECT {kept} {rows} ORDER BY {listed} FOR NO KEY UPDATE),"
        f" done AS ({update} WHERE ({listed}) IN (SELECT {listed} FROM before) RETURNING {kept}),"
        f" recorded AS ({_insert_change(model, names, id=_NUMBERED)} ON {same})"
    )


def parameters(rows: int | None = None, **metadata: Any) -> dict[str, Any]:
    """Return the parameters of the audit step: ids and the current actor.

    Args:
        rows: number of records, for a step with ``many``.
        metadata: details for the record; must be small and not secret.
    """
    who = actor.current()
    if who.request_id is not None:
        metadata = {"request_id": who.request_id, **metadata}
    return {
        "audit_id": uuid7() if rows is None else [uuid7() for _ in range(rows)],
        "audit_actor_id": who.actor_id,
        "audit_ip_address": who.ip_address,
        "audit_user_agent": who.user_agent,
        "audit_metadata": dumps(metadata) if metadata else "{}",
    }


def _insert(model: type[Model], action: str, *, id: str, metadata: str = "") -> str:
    whom = "user_id" if "user_id" in model._meta.fields_map else "id"
    resource: str = model.resource  # type: ignore[attr-defined]
    return (
        f"INSERT INTO audit_logs ({COLUMNS}) SELECT done.{whom}, {id}, {action}, '{resource}',"
        " done.id::text, :audit_actor_id::uuid, 'success', :audit_ip_address::text,"
        f" :audit_user_agent::text, :audit_metadata::jsonb{metadata} FROM done"
    )


def _action(model: type[Model], verb: str) -> str:
    return f"'{model.resource}.{verb}'"  # type: ignore[attr-defined]


def _key(model: type[Model]) -> list[str]:
    return [name for name in ("user_id", "id") if name in model._meta.fields_map]


def _differs(name: str) -> str:
    return f'before."{name}" IS DISTINCT FROM done."{name}"'


def _changes(model: type[Model], names: Sequence[str]) -> str:
    """Return SQL that adds the changed fields to the record's metadata."""
    audited: tuple[str, ...] = getattr(model, "audited", ())
    told = [
        f'(\'{name}\', to_jsonb(before."{name}"), to_jsonb(done."{name}"))'
        for name in names
        if name in audited
    ]
    named = [f"('{name}', {_differs(name)})" for name in names if name not in audited]
    sql = ""
    if told:
        sql += (
            " || coalesce((SELECT jsonb_build_object('changes', jsonb_object_agg(field,"
            " jsonb_build_object('before', was, 'after', became)))"
            f" FROM (VALUES {', '.join(told)}) AS told (field, was, became)"
            " WHERE was IS DISTINCT FROM became HAVING count(*) > 0), '{}')"
        )
    if named:
        sql += (
            " || coalesce((SELECT jsonb_build_object('also_changed', jsonb_agg(field))"
            f" FROM (VALUES {', '.join(named)}) AS named (field, differs)"
            " WHERE differs HAVING count(*) > 0), '{}')"
        )
    return sql
