"""Querysets and managers of our models: they keep the book, and deleted rows out of sight."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pypika_tortoise.functions import Now as SqlNow
from tortoise.expressions import Expression, F, ResolveContext, ResolveResult
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
from digitwin.kernel.orm.orm_errors import in_our_words
from digitwin.kernel.orm.parent_visibility import under_shelter
from digitwin.kernel.orm.soft_delete_joins import Alive
from digitwin.kernel.orm.soft_delete_query import HidingQuery


class _Now(Expression):
    """The database's clock."""

    def resolve(self, resolve_context: ResolveContext) -> ResolveResult:
        return ResolveResult(term=SqlNow())


@in_our_words
class Rows(QuerySet[Any]):
    """A queryset that keeps the book.

    ``updated_at`` and ``version`` move with every update; what only a repository can keep right
    is refused; a deletion only hides.
    """

    def update(self, **kwargs: Any) -> UpdateQuery:
        writes.refuse_guarded(self.model, kwargs)
        for name, value in kwargs.items():
            if name in self.model._meta.fields_db_projection and not isinstance(value, Expression):
                writes.stored(self.model, name, value)
        return self._moving(**kwargs)

    def delete(self) -> DeleteQuery:
        if not hasattr(self.model, "delete_through"):
            return super().delete()
        method = self.model.delete_through
        if method is not None:
            raise InvalidStateError(
                f"Delete through the repository: {method} takes along what belongs to the row"
            )
        hidden: Any = HidingQuery(self, self.model.resource)
        return hidden  # type: ignore[no-any-return]

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
        made = super().bulk_create(objects, batch_size, ignore_conflicts)
        made.__class__ = _UnderShelter
        return made

    def bulk_update(self, *_: Any, **__: Any) -> BulkUpdateQuery[Any]:
        raise InvalidStateError(
            f"Use {self.model.__name__}.bulk_update(objects, fields), which saves each object"
        )

    def annotate(self, **kwargs: Any) -> QuerySet[Any]:
        _refuse_odd_names(kwargs)
        return super().annotate(**kwargs)

    def values(self, *args: str, **kwargs: str) -> ValuesQuery[Any]:
        _refuse_odd_names(kwargs)
        return super().values(*args, **kwargs)

    def _moving(self, **kwargs: Any) -> UpdateQuery:
        known = self.model._meta.fields_map
        if "updated_at" in known:
            kwargs["updated_at"] = _Now()
        if "version" in known:
            kwargs["version"] = F("version") + 1
        return super().update(**kwargs)


class _UnderShelter(BulkCreateQuery[Any]):
    __slots__ = ()

    async def _execute_many(self, *statements: Any) -> None:
        async with under_shelter(self._db, self.model, self._objects):
            await super()._execute_many(*statements)


def _refuse_odd_names(names: Iterable[str]) -> None:
    """Tortoise writes these into the statement as they are."""
    for name in names:
        if not name.isidentifier():
            raise InvalidInputError(f"{name[:100]!r} is no name for a result", field=name[:100])


class Everything(Manager):
    """Sees every row of its model, the hidden too; what is joined to them is alive all the same."""

    _model: type[Model]

    def get_queryset(self) -> QuerySet[Any]:
        """Bound to the handle that is activated here; without one, chosen when it is awaited."""
        return Rows(self._model).using_db(active_handle.chosen())


class Living(Everything):
    """Sees what is not hidden."""

    def get_queryset(self) -> QuerySet[Any]:
        return super().get_queryset().filter(Alive())
