"""Generated CRUD statements of entities, built once per shape.

Names come only from the model, and values are always bound: a parameter has the name of its
column. Rows of a person are inserted only while that person is not deleted: the statement locks
the owner's row with ``FOR SHARE``, so that no child is inserted during a concurrent deletion.
Changes are audited by the same statement, see :mod:`audit_step`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from tortoise import fields
from tortoise.models import Model

from digitwin.kernel.primitives.validation import dumps
from digitwin.kernel.sql import audit_step
from digitwin.kernel.sql.columns import columns, sql_type
from digitwin.kernel.sql.queries import MAX_COMPILED, Query, compiled
from digitwin.kernel.sql.tables import TABLES, orphaned_by

ALIVE = '"deleted_at" IS NULL'
_MERGED = '({}"metadata" || :metadata::jsonb) - :removed::text[]'
TOUCH = '"version" = t."version" + 1, "updated_at" = now()'


def is_owned(model: type[Model]) -> bool:
    """Return whether the table's rows belong to a person."""
    return "user_id" in model._meta.fields_map


def can_hide(model: type[Model]) -> bool:
    """Return whether the table has soft delete."""
    return "deletion_id" in model._meta.fields_map


@cache
def encoder(model: type[Model], name: str) -> Callable[[Any], Any] | None:
    """Return how a field's value is encoded as a parameter; None: unchanged."""
    return _json if isinstance(model._meta.fields_map[name], fields.JSONField) else None


def _json(value: Any) -> str | None:
    return None if value is None else dumps(value)


def encode(model: type[Model], row: Mapping[str, Any]) -> dict[str, Any]:
    """Encode a row's values as parameters."""
    return {
        name: value if (convert := encoder(model, name)) is None else convert(value)
        for name, value in row.items()
    }


@cache
def insert(model: type[Model], names: tuple[str, ...], *, may_exist: bool = False) -> Query:
    """Insert one row; none if its owner is deleted.

    ``may_exist``: none either if its id is taken, which leaves an open transaction usable.
    """
    values = ", ".join(f":{name}::{sql_type(model, name)}" for name in names)
    owner = f" FROM users WHERE id = :user_id AND {ALIVE} FOR SHARE" if is_owned(model) else ""
    conflict = " ON CONFLICT DO NOTHING" if may_exist else ""
    return _recorded(
        model,
        "create",
        f'INSERT INTO "{model._meta.db_table}" ({_list(names)}) SELECT {values}{owner}{conflict}'
        f" RETURNING {columns(model)}",
    )


@cache
def insert_many(model: type[Model], names: tuple[str, ...]) -> Query:
    """Insert rows of one shape, in order, from one array per column."""
    arrays = ", ".join(f":{name}::{sql_type(model, name)}[]" for name in names)
    owners = ""
    if is_owned(model):
        owners = (
            f" JOIN (SELECT id AS owner FROM users WHERE id = ANY(:user_id::uuid[]) AND {ALIVE}"
            " ORDER BY id FOR SHARE) AS living ON living.owner = given.user_id"
        )
    return _recorded(
        model,
        "create",
        f'INSERT INTO "{model._meta.db_table}" ({_list(names)}) SELECT {_list(names)}'
        f' FROM unnest({arrays}) WITH ORDINALITY AS given({_list(names)}, "n"){owners}'
        f' ORDER BY "n" RETURNING {columns(model)}',
        many=True,
    )


@lru_cache(MAX_COMPILED)
def select(
    model: type[Model],
    equal: tuple[str, ...],
    null: tuple[str, ...] = (),
    *,
    hidden: bool = False,
    what: str | None = None,
    beyond: str | None = None,
    tail: str = "",
) -> Query:
    """Select rows by equality.

    Args:
        model: the model of the table.
        equal: columns compared with their parameter.
        null: columns that must be NULL.
        hidden: include soft-deleted rows.
        what: select list; the model's columns if unset.
        beyond: only rows whose id is greater (``>``) or less (``<``) than ``:after``.
        tail: clauses after the conditions.
    """
    return compiled(
        f'SELECT {what or columns(model)} FROM "{model._meta.db_table}"'
        f"{_where(model, equal, null, hidden=hidden, beyond=beyond)}{tail}"
    )


def _where(
    model: type[Model],
    equal: Sequence[str],
    null: Sequence[str] = (),
    *,
    hidden: bool,
    beyond: str | None = None,
) -> str:
    terms = [_equals(model, name) for name in equal]
    terms += [f'"{name}" IS NULL' for name in null]
    if can_hide(model) and not hidden:
        terms.append(ALIVE)
    if beyond is not None:
        terms.append(f"id {beyond} :after")
    return f" WHERE {' AND '.join(terms)}" if terms else ""


def _equals(model: type[Model], name: str) -> str:
    """Return the filter on one field; ``looked_up`` of a model maps it to another table."""
    looked_up: str | None = getattr(model, "looked_up", {}).get(name)
    return f'"{name}" = :{name}' if looked_up is None else looked_up


@cache
def update(
    model: type[Model], names: tuple[str, ...], equal: tuple[str, ...], *, merges: bool = False
) -> Query:
    """Update these columns of a row that is not deleted, with ``version`` and ``updated_at``.

    ``merges``: ``:metadata`` holds keys to set and ``:removed`` keys to remove, and the row stays
    as it is if its metadata would take more than ``:max_bytes``.
    """
    steps = update_steps(model, names, equal, merges=merges)
    return compiled(f"WITH {steps} SELECT * FROM done")


def update_steps(
    model: type[Model], names: tuple[str, ...], equal: tuple[str, ...], *, merges: bool = False
) -> str:
    """Return the steps of an update; ``done`` is the changed row."""
    values = {name: f":{name}" for name in names}
    where = _where(model, equal, hidden=False)
    if merges:
        # The row is locked when both are evaluated, so that patches of other keys are in it
        values["metadata"] = _MERGED.format("t.")
        where += f" AND octet_length(({_MERGED.format('')})::text) <= :max_bytes::int"
    return audit_step.update(
        model,
        names,
        [*(f'"{name}" = {value}' for name, value in values.items()), TOUCH],
        where,
        columns(model, "t."),
        one=_is_ambiguous(model, equal),
    )


@cache
def hide(model: type[Model], equal: tuple[str, ...]) -> Query:
    """Soft-delete a row and record the deletion.

    Locks the owner first, in the same order as a hard delete of the owner.
    """
    table, terms = model._meta.db_table, _same(equal)
    return _recorded(
        model,
        "delete",
        f'WITH owner AS (SELECT id FROM users WHERE id = (SELECT t.user_id FROM "{table}" t'
        f" WHERE {terms} AND t.deleted_at IS NULL) FOR KEY SHARE)"
        f' UPDATE "{table}" AS t SET "deleted_at" = now(), "deletion_id" = :deletion_id,'
        f" {_touch_deleted(model)} FROM owner"
        f" WHERE t.user_id = owner.id AND {terms} AND t.deleted_at IS NULL"
        f" RETURNING {columns(model, 't.')}",
        also=", noted AS ("
        "INSERT INTO deletions (user_id, id, resource, resource_id, reason, actor_id)"
        f" SELECT user_id, :deletion_id::uuid, '{resource(model)}', id, :reason::varchar,"
        " :actor_id::uuid FROM done)",
    )


@cache
def hide_many(model: type[Model]) -> Query:
    """Soft-delete rows at their versions: one event for each owner, a record for each row.

    ``:owner`` and ``:event`` are the owners and their events. Owners are locked first, against a
    deletion of theirs, then the rows, both in order: so do all statements that lock many rows.
    """
    table = model._meta.db_table
    record = audit_step.insert_numbered(
        model, "delete", " || jsonb_build_object('deletion_id', done.deletion_id)"
    )
    return compiled(
        "WITH given AS (SELECT * FROM unnest(:user_id::uuid[], :id::uuid[], :version::int[])"
        " AS one (user_id, id, version)),"
        " event AS (SELECT * FROM unnest(:owner::uuid[], :event::uuid[]) AS one (user_id, id)),"
        " owner AS (SELECT id FROM users WHERE id = ANY(:owner) ORDER BY id FOR SHARE),"
        f' held AS (SELECT t.user_id, t.id, event.id AS event FROM "{table}" AS t'
        " JOIN given ON t.user_id = given.user_id AND t.id = given.id"
        " JOIN event ON event.user_id = t.user_id JOIN owner ON owner.id = t.user_id"
        " WHERE t.version = given.version AND t.deleted_at IS NULL"
        " ORDER BY t.user_id, t.id FOR NO KEY UPDATE OF t),"
        f' done AS (UPDATE "{table}" AS t SET "deleted_at" = now(), "deletion_id" = held.event,'
        f" {_touch_deleted(model)} FROM held WHERE t.user_id = held.user_id AND t.id = held.id"
        " AND t.deleted_at IS NULL RETURNING t.user_id, t.id, t.deletion_id),"
        f" recorded AS ({record}),"
        " noted AS (INSERT INTO deletions (user_id, id, resource, resource_id, actor_id)"
        f" SELECT user_id, deletion_id, '{resource(model)}', (array_agg(id ORDER BY id))[1],"
        " :actor_id::uuid FROM done GROUP BY user_id, deletion_id"
        " ON CONFLICT (user_id, id) DO NOTHING)"
        " SELECT user_id FROM done"
    )


def _touch_deleted(model: type[Model]) -> str:
    table = TABLES.get(model._meta.db_table)
    return f"{TOUCH}, {table.on_deleted}" if table is not None and table.on_deleted else TOUCH


@cache
def hold_owner(model: type[Model], equal: tuple[str, ...]) -> Query:
    """Lock the owner of a row before the row: the lock order of restore and hard delete.

    Whoever clears orphans keeps other removals of this owner waiting: theirs may hold the orphans.
    A retention, which takes a weaker lock so that nobody waits for it, is excluded by ``orphans``.
    """
    table = model._meta.db_table
    owner = f'SELECT t.user_id AS id FROM "{table}" t WHERE {_same(equal)}'
    if not orphaned_by(table):
        return compiled(f"SELECT id FROM users WHERE id = ({owner}) FOR SHARE")
    return compiled(
        f"WITH owner AS MATERIALIZED ({owner}), turn AS MATERIALIZED"
        f" (SELECT pg_advisory_xact_lock({orphans('owner.id')}) FROM owner)"
        " SELECT users.id FROM users, turn WHERE users.id = (SELECT id FROM owner)"
        " FOR NO KEY UPDATE OF users"
    )


def orphans(owner: str) -> str:
    """Return SQL for the advisory lock of whoever removes what refers to an owner's documents."""
    return f"hashtextextended('digitwin.orphans ' || {owner}::uuid::text, 0)"


@cache
def finish_deletion(model: type[Model], equal: tuple[str, ...]) -> Query:
    """Mark the deletion of a row as final before the row is removed, unless it hides others."""
    return compiled(
        "UPDATE deletions AS d SET final_at = now()"
        f' FROM "{model._meta.db_table}" AS t WHERE {_same(equal)} AND t.deleted_at IS NOT NULL'
        f" AND d.user_id = t.user_id AND d.id = t.deletion_id AND d.resource = '{resource(model)}'"
        " AND d.restored_at IS NULL AND d.final_at IS NULL"
        f' AND NOT EXISTS (SELECT 1 FROM "{model._meta.db_table}" AS other WHERE'
        " other.user_id = t.user_id AND other.deletion_id = t.deletion_id AND other.id <> t.id)"
    )


def resource(model: type[Model]) -> str:
    """Return the resource name of the model, for deletions."""
    name: str = model.resource  # type: ignore[attr-defined]
    return name


@cache
def show(model: type[Model], equal: tuple[str, ...]) -> Query:
    """Undo the deletion of a row, unless its owner is deleted, and record it in the deletion.

    All rows that the deletion hides come back, locked in the order of their ids; the row asked
    for is returned.
    """
    table = model._meta.db_table
    record = audit_step.insert_numbered(model, "restore")
    return compiled(
        "WITH event AS (SELECT t.user_id, t.deletion_id"
        f' FROM "{table}" t WHERE {_same(equal)} AND t.deleted_at IS NOT NULL),'
        " owner AS (SELECT id FROM users WHERE deleted_at IS NULL"
        " AND id = (SELECT user_id FROM event) FOR SHARE),"
        f' hidden AS (SELECT t.user_id, t.id FROM "{table}" AS t'
        " JOIN event ON t.user_id = event.user_id AND t.deletion_id = event.deletion_id"
        " JOIN owner ON owner.id = t.user_id ORDER BY t.id FOR NO KEY UPDATE OF t),"
        f' done AS (UPDATE "{table}" AS t SET "deleted_at" = NULL, "deletion_id" = NULL, {TOUCH}'
        " FROM hidden WHERE t.user_id = hidden.user_id AND t.id = hidden.id"
        f" AND t.deleted_at IS NOT NULL RETURNING {columns(model, 't.')}),"
        f" recorded AS ({record}),"
        " noted AS (UPDATE deletions AS d SET restored_at = now() FROM event"
        " WHERE d.user_id = event.user_id AND d.id = event.deletion_id"
        " AND EXISTS (SELECT 1 FROM done))"
        ' SELECT * FROM done WHERE "id" = :id'
    )


@cache
def remove(model: type[Model], equal: tuple[str, ...]) -> Query:
    """Delete a row permanently."""
    table, owner = model._meta.db_table, ""
    if _is_ambiguous(model, equal):
        owner = f' AND "user_id" = (SELECT t.user_id FROM "{table}" t WHERE {_same(equal)})'
    return _recorded(
        model,
        "hard_delete",
        f'DELETE FROM "{table}"{_where(model, equal, hidden=True)}{owner}'
        f" RETURNING {columns(model)}",
        what="id",
    )


@cache
def clear_orphans(parent: str | None = None) -> tuple[Query, ...]:
    """Clear what a person's other rows hold of what was deleted permanently.

    Sent after the deletion, in its transaction: a row that was stored while the deletion waited
    is seen then, and has lost its reference by the foreign key.

    Args:
        parent: the table of what was deleted; any, if unset.
    """
    return tuple(
        compiled(
            f"UPDATE {table.name} SET {', '.join(f'{name} = NULL' for name in orphans.cleared)}"
            f" WHERE user_id = :user_id AND {orphans.reference} IS NULL"
            f" AND ({' OR '.join(f'{name} IS NOT NULL' for name in orphans.cleared)})"
        )
        for table, orphans in orphaned_by(parent)
    )


def _is_ambiguous(model: type[Model], equal: Sequence[str]) -> bool:
    """Return whether the columns could find rows of two people.

    A distributed schema cannot have a unique index on ``id`` alone. A subquery for the one owner
    then refuses the statement, SQLSTATE 21000, instead of choosing.
    """
    return is_owned(model) and "user_id" not in equal


def _recorded(
    model: type[Model],
    verb: str,
    sql: str,
    *,
    many: bool = False,
    what: str = "*",
    also: str = "",
) -> Query:
    """Combine a statement (as the step ``done``) with its audit step.

    ``also`` is a further step, with a leading comma.
    """
    record = audit_step.insert(model, verb, many=many)
    return compiled(f"WITH done AS ({sql}), recorded AS ({record}){also} SELECT {what} FROM done")


def _same(equal: Sequence[str]) -> str:
    return " AND ".join(f't."{name}" = :{name}' for name in equal)


def _list(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
