"""Managers and querysets of the models: soft delete, versions, and protected columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pypika_tortoise.functions import Now as SqlNow
from tortoise.expressions import Expression, F, ResolveContext, ResolveResult, Subquery
from tortoise.manager import Manager
from tortoise.models import Model
from tortoise.queryset import (
    BulkCreateQuery,
    BulkUpdateQuery,
    DeleteQuery,
    QuerySet,
    UpdateQuery,
    ValuesQuery,
)

from digitwin.errors import InvalidInputError, InvalidStateError
from digitwin.kernel.orm import active_handle, writes
from digitwin.kernel.orm.orm_errors import translates_errors
from digitwin.kernel.orm.parent_visibility import parents_locked
from digitwin.kernel.orm.recorded_update import RecordedUpdateQuery
from digitwin.kernel.orm.soft_delete_joins import AliveFilter
from digitwin.kernel.orm.soft_delete_query import SoftDeleteQuery
from digitwin.kernel.sql import audit_step


class _Now(Expression):
    """``now()``: the database's clock, not the process's."""

    def resolve(self, resolve_context: ResolveContext) -> ResolveResult:
        return ResolveResult(term=SqlNow())


@translates_errors
class ModelQuerySet(QuerySet[Any]):
    """A queryset with the rules of the repositories.

    Updates also set ``updated_at`` and ``version``, and are refused for columns that only a
    repository may change. ``delete()`` is a soft delete.
    """

    def update(self, **kwargs: Any) -> UpdateQuery:
        writes.refuse_repository_only(self.model, kwargs)
        for name, value in kwargs.items():
            if name in self.model._meta.fields_db_projection and not isinstance(value, Expression):
                writes.to_column(self.model, name, value)
        return self._unlimited()._touching(**kwargs)

    def delete(self) -> DeleteQuery:
        if not hasattr(self.model, "restored_through"):
            return super().delete()
        query: Any = SoftDeleteQuery(self)
        return query  # type: ignore[no-any-return]

    def bulk_create(
        self,
        objects: Iterable[Any],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_fields: Iterable[str] | None = None,
        on_conflict: Iterable[str] | None = None,
    ) -> BulkCreateQuery[Any]:
        writes.refuse_creation(self.model)
        if update_fields or on_conflict:
            raise InvalidStateError("bulk_create() does not update: use a queryset's update()")
        query = super().bulk_create(objects, batch_size, ignore_conflicts)
        query.__class__ = _LockingBulkCreate
        return query

    def bulk_update(self, *_: Any, **__: Any) -> BulkUpdateQuery[Any]:
        raise InvalidStateError(
            f"Use {self.model.__name__}.bulk_update(objects, fields), which saves each object"
        )

    def annotate(self, **kwargs: Any) -> QuerySet[Any]:
        _require_identifiers(kwargs)
        return super().annotate(**kwargs)

    def values(self, *args: str, **kwargs: str) -> ValuesQuery[Any]:
        _require_identifiers(kwargs)
        return super().values(*args, **kwargs)

    def _unlimited(self) -> ModelQuerySet:
        """Return the rows of a queryset with a limit as one without: those with their ids.

        PostgreSQL's UPDATE has no limit, and Tortoise would leave it out without a word.
        """
        if self._limit is None and self._offset is None:
            return self
        rows, found = self._clone(), self._clone()
        rows._limit = rows._offset = None
        rows._orderings = []
        found._fields_for_select = ()
        ids: Any = Subquery(found.values(self.model._meta.pk_attr))
        # Tortoise leaves out a limit of 0
        limited: Any = rows.filter(pk__in=ids if self._limit != 0 else [])
        return limited  # type: ignore[no-any-return]

    def _touching(self, **kwargs: Any) -> UpdateQuery:
        known = self.model._meta.fields_map
        if "updated_at" in known:
            kwargs["updated_at"] = _Now()
        if "version" in known:
            kwargs["version"] = F("version") + 1
        query = super().update(**kwargs)
        if audit_step.is_recorded(self.model):
            query.__class__ = RecordedUpdateQuery
        return query


class _LockingBulkCreate(BulkCreateQuery[Any]):
    __slots__ = ()

    async def _execute_many(self, *statements: Any) -> None:
        async with parents_locked(self._db, self.model, self._objects):
            await super()._execute_many(*statements)


def _require_identifiers(names: Iterable[str]) -> None:
    # Tortoise interpolates these names into the statement unescaped.
    for name in names:
        if not name.isidentifier():
            raise InvalidInputError(f"{name[:100]!r} is not an identifier", field=name[:100])


class AllRowsManager(Manager):
    """Returns deleted rows too; rows that are joined to them are alive nevertheless."""

    _model: type[Model]

    def get_queryset(self) -> QuerySet[Any]:
        """Return a queryset of the handle activated here, else of the one when it is awaited."""
        return ModelQuerySet(self._model).using_db(active_handle.activated_client())


class AliveManager(AllRowsManager):
    """Returns rows that are not hidden by a deletion."""

    def get_queryset(self) -> QuerySet[Any]:
        return super().get_queryset().filter(AliveFilter())
