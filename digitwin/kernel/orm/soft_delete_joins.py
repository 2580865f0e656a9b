"""Hidden rows stay hidden where tables are joined, too.

A manager can only narrow the rows that are asked for; what Tortoise joins to them (filters and
values across relations, aggregates, ``select_related``, orders) it takes as it is. So the join
itself is made to say that the row is alive. That is private to Tortoise: two of its functions
are wrapped, here and nowhere else, for our own models alone; its minor version is pinned, and
the import fails where the functions are not what they were.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from pypika_tortoise.context import SqlContext
from pypika_tortoise.queries import Table
from pypika_tortoise.terms import Criterion
from tortoise import expressions, query_utils, queryset
from tortoise.expressions import Q, ResolveContext
from tortoise.models import Model
from tortoise.query_utils import QueryModifier

from digitwin.kernel.orm.active_handle import BoundMeta
from digitwin.kernel.orm.parent_visibility import Shelter, shelter_of


def alive(model: type[Model], table: Table) -> Criterion | None:
    """The condition that a row of ``table`` is not hidden; None where rows never are.

    Models of other applications in the process are none of ours.
    """
    if not isinstance(model._meta, BoundMeta):
        return None
    if "deletion_id" in model._meta.fields_map:
        found: Criterion = table["deleted_at"].isnull()
        return found
    shelter = shelter_of(model)
    return None if shelter is None else _Sheltered(shelter, table)


class Alive(Q):
    """The filter of a default manager: rows that are not hidden."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return True

    def resolve(self, resolve_context: ResolveContext) -> QueryModifier:
        return QueryModifier(alive(resolve_context.model, resolve_context.table))


class _Sheltered(Criterion):
    def __init__(self, shelter: Shelter, table: Table) -> None:
        super().__init__()
        self._shelter = shelter
        self._row = table

    def nodes_(self) -> Iterator[Any]:
        yield self
        yield self._row

    def get_sql(self, ctx: SqlContext) -> str:
        return self._shelter.stands(self._row.alias or self._row.get_table_name())


_join = query_utils.get_joins_for_related_field
_own_filter = Q._process_filter_kwarg


def _join_the_living(table: Table, related_field: Any, related_field_name: str) -> list[Any]:
    joins = _join(table, related_field, related_field_name)
    return [*joins[:-1], _of_the_living(related_field.related_model, joins[-1])]


def _filter_the_living(self: Q, model: Any, key: str, value: Any, table: Table) -> tuple[Any, Any]:
    """A filter on a relation itself (``documents=…``, ``documents__isnull=…``) joins by itself."""
    criterion, join = _own_filter(self, model, key, value, table)
    if join is not None:
        related = model._meta.fields_map[key.partition("__")[0]].related_model
        if join[0].get_table_name() == related._meta.db_table:  # not a table between two
            join = _of_the_living(related, join)
    return criterion, join


def _of_the_living(model: type[Model], join: tuple[Table, Criterion]) -> tuple[Table, Criterion]:
    table, on = join
    condition = alive(model, table)
    return join if condition is None else (table, on & condition)


def _install() -> None:
    wanted = ["table", "related_field", "related_field_name"]
    places: tuple[Any, ...] = (query_utils, queryset, expressions)
    as_they_were = (
        all(vars(place).get("get_joins_for_related_field") is _join for place in places)
        and list(inspect.signature(_join).parameters) == wanted
        and list(inspect.signature(_own_filter).parameters)[1:]
        == ["model", "key", "value", "table"]
    )
    if not as_they_were:
        raise ImportError("This Tortoise joins tables in another way: hidden rows would show")
    for place in places:
        place.get_joins_for_related_field = _join_the_living
    Q._process_filter_kwarg = _filter_the_living  # type: ignore[method-assign]


_install()
