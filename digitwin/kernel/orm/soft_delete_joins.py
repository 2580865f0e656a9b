"""Joined rows are filtered by deletion, as the rows of a manager are.

A manager filters only the rows that it returns. What Tortoise joins to them (filters and values
across relations, aggregates, ``select_related``, orders) has no hook, so two private functions
of Tortoise are wrapped: the join condition says that the joined row is alive.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pypika_tortoise.context import SqlContext
from pypika_tortoise.queries import Table
from pypika_tortoise.terms import Criterion
from tortoise import query_utils
from tortoise.expressions import Q, ResolveContext
from tortoise.models import Model
from tortoise.query_utils import QueryModifier

from digitwin.kernel.orm.active_handle import BoundMeta
from digitwin.kernel.orm.parent_visibility import ParentVisibility, parent_of
from digitwin.kernel.orm.tortoise_internals import JOINING_MODULES


def alive(model: type[Model], table: Table) -> Criterion | None:
    """Return the condition that a row of ``table`` is not hidden, or None if no row ever is.

    None also for models of other applications in the process.
    """
    if not isinstance(model._meta, BoundMeta):
        return None
    if "deletion_id" in model._meta.fields_map:
        found: Criterion = table["deleted_at"].isnull()
        return found
    parent = parent_of(model)
    return None if parent is None else _ParentIsAlive(parent, table)


class AliveFilter(Q):
    """The filter of the default manager: rows that are not hidden."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return True

    def resolve(self, resolve_context: ResolveContext) -> QueryModifier:
        return QueryModifier(alive(resolve_context.model, resolve_context.table))


class _ParentIsAlive(Criterion):
    def __init__(self, parent: ParentVisibility, table: Table) -> None:
        super().__init__()
        self._parent = parent
        self._row = table

    def nodes_(self) -> Iterator[Any]:
        yield self
        yield self._row

    def get_sql(self, ctx: SqlContext) -> str:
        return self._parent.is_alive(self._row.alias or self._row.get_table_name())


_join = query_utils.get_joins_for_related_field
_process_filter = Q._process_filter_kwarg


def _join_alive(table: Table, related_field: Any, related_field_name: str) -> list[Any]:
    joins = _join(table, related_field, related_field_name)
    return [*joins[:-1], _with_alive(related_field.related_model, joins[-1])]


def _filter_alive(self: Q, model: Any, key: str, value: Any, table: Table) -> tuple[Any, Any]:
    """A filter on the relation itself (``documents=…``, ``documents__isnull=…``) joins here."""
    criterion, join = _process_filter(self, model, key, value, table)
    if join is not None:
        related = model._meta.fields_map[key.partition("__")[0]].related_model
        if join[0].get_table_name() == related._meta.db_table:  # else a many-to-many table
            join = _with_alive(related, join)
    return criterion, join


def _with_alive(model: type[Model], join: tuple[Table, Criterion]) -> tuple[Table, Criterion]:
    table, on = join
    condition = alive(model, table)
    return join if condition is None else (table, on & condition)


for _module in JOINING_MODULES:
    _module.get_joins_for_related_field = _join_alive
Q._process_filter_kwarg = _filter_alive  # type: ignore[method-assign]
