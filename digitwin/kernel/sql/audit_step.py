"""The audit trail's record of a change, made by the very statement that makes the change.

The statement becomes steps of one WITH: ``before`` locks the row as it is, where its old
values are told, ``done`` changes it and returns it, ``recorded`` adds the record. So there is
no change without its record and no record without its change, and no round trip more. A
record never asks for anything back: who may only add to the trail may not read it.

What a model's record is about stands in the model: ``resource``, its name in the trail;
``audited``, the fields whose values are told; ``actions``, the fields whose change has a name
of its own. Every other field is told by its name alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tortoise.models import Model

from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.primitives.validation import dumps
from digitwin.kernel.sql import actor

COLUMNS = (
    "user_id, id, action, resource, resource_id, actor_id, result, ip_address, user_agent, metadata"
)


def is_recorded(model: type[Model]) -> bool:
    """Whether changes of the table's rows are recorded."""
    return getattr(model, "resource", None) is not None


def insert(model: type[Model], verb: str, first: int, *, many: bool = False, of: str = "") -> str:
    """The step that records what ``done`` gives back, one record a row.

    Args:
        verb: what was done; with the model's name it is the action.
        first: the number of the first of the five :func:`parameters`.
        many: the first parameter is a list of ids, one for each row.
        of: what follows ``FROM done``.
    """
    return _insert(model, _action(model, verb), first, many=many, of=of)


def insert_change(model: type[Model], first: int, names: Iterable[str], *, of: str = "") -> str:
    """As :func:`insert`, for an update of these fields; ``before`` holds what they were."""
    names = tuple(names)
    action = _action(model, "update")
    for name, verb in getattr(model, "actions", {}).items():
        if name in names:
            action = f"CASE WHEN {_differs(name)} THEN {_action(model, verb)} ELSE {action} END"
    return _insert(model, action, first, of=f", before{of}", metadata=_changes(model, names))


def update(
    model: type[Model],
    names: Sequence[str],
    sets: Sequence[str],
    where: str,
    returning: str,
    first: int,
) -> str:
    """The three steps of an update: ``before``, ``done`` and ``recorded``.

    Args:
        names: the fields that are set.
        sets: the assignments; a column that they read is ``t``'s.
        where: which row, from ``WHERE`` on.
        returning: what ``done`` gives back, among it ``names`` and the key; columns are ``t``'s.
        first: the number of the first of the five :func:`parameters`.
    """
    table, key = model._meta.db_table, _key(model)
    kept = ", ".join(f'"{name}"' for name in dict.fromkeys((*key, *names)))
    same = " AND ".join(f't."{name}" = before."{name}"' for name in key)
    return (
        f'before AS (SELECT {kept} FROM "{table}"{where} FOR NO KEY UPDATE),'
        f' done AS (UPDATE "{table}" AS t SET {", ".join(sets)} FROM before WHERE {same}'
        f" RETURNING {returning}),"
        f" recorded AS ({insert_change(model, first, names)})"
    )


def parameters(rows: int | None = None, **metadata: Any) -> tuple[Any, ...]:
    """What the record of a change needs, in the order of its parameters.

    Args:
        rows: how many records, where there may be several; else one.
        metadata: more about it; nothing secret, nothing bulky.
    """
    ids = uuid7() if rows is None else [uuid7() for _ in range(rows)]
    who = actor.current()
    if who.request_id is not None:
        metadata = {"request_id": who.request_id, **metadata}
    told = dumps(metadata) if metadata else "{}"
    return ids, who.actor_id, who.ip_address, who.user_agent, told


def _insert(
    model: type[Model], action: str, first: int, *, of: str, many: bool = False, metadata: str = ""
) -> str:
    ids, actor, address, agent, told = (f"${n}" for n in range(first, first + 5))
    whom = "user_id" if "user_id" in model._meta.fields_map else "id"
    id = f"({ids}::uuid[])[row_number() OVER ()]" if many else f"{ids}::uuid"
    resource: str = model.resource  # type: ignore[attr-defined]
    return (
        f"INSERT INTO audit_logs ({COLUMNS}) SELECT done.{whom}, {id}, {action}, '{resource}',"
        f" done.id::text, {actor}::uuid, 'success', {address}::text, {agent}::text,"
        f" {told}::jsonb{metadata} FROM done{of}"
    )


def _action(model: type[Model], verb: str) -> str:
    return f"'{model.resource}.{verb}'"  # type: ignore[attr-defined]


def _key(model: type[Model]) -> list[str]:
    return [name for name in ("user_id", "id") if name in model._meta.fields_map]


def _differs(name: str) -> str:
    return f'before."{name}" IS DISTINCT FROM done."{name}"'


def _changes(model: type[Model], names: Sequence[str]) -> str:
    """What is added to a record's metadata: nothing of a field that has stayed the same."""
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
