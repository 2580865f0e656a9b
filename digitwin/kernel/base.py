"""The base of every model: bound to its handle, soft-deleted rows out of sight.

This is the one place that reaches into Tortoise's private parts, and only for models of
our own: ``MetaInfo.db`` (which connection), ``Model._choose_db`` (a foreign router has no
say here) and the getters of relations (an instance's relations stay in its database).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Self

from pypika_tortoise.functions import Now as SqlNow
from tortoise import fields, models
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.exceptions import IntegrityError
from tortoise.expressions import Expression, F, ResolveContext, ResolveResult
from tortoise.fields.db_defaults import Now
from tortoise.fields.relational import ReverseRelation
from tortoise.manager import Manager
from tortoise.queryset import DeleteQuery, QuerySet, UpdateQuery

from digitwin.errors import InvalidStateError
from digitwin.kernel import active
from digitwin.kernel.ids import uuid7


class BoundMeta(models.MetaInfo):
    """Tortoise's metadata, whose connection is chosen at each use."""

    __slots__ = ()

    @property
    def db(self) -> BaseDBAsyncClient:
        return active.client()


class _Now(Expression):
    """The database's clock."""

    def resolve(self, resolve_context: ResolveContext) -> ResolveResult:
        return ResolveResult(term=SqlNow())


class Rows(QuerySet[Any]):
    """A queryset that keeps the book: ``updated_at`` and ``version`` move with every update,
    an owner never changes, and a deletion only hides."""

    def update(self, **kwargs: Any) -> UpdateQuery:
        known = self.model._meta.fields_map
        for owner in ("user", "user_id"):
            if owner in kwargs:
                raise InvalidStateError(f"{owner} never changes", field=owner)
        if "updated_at" in known:
            kwargs.setdefault("updated_at", _Now())
        if "version" in known:
            kwargs["version"] = F("version") + 1
        return super().update(**kwargs)

    def delete(self) -> DeleteQuery:
        if not issubclass(self.model, SoftDelete):
            return super().delete()
        if self.model.delete_through is not None:
            raise InvalidStateError(
                f"Delete through the repository: {self.model.delete_through} takes along"
                " what belongs to the row"
            )
        alive = self.filter(deleted_at__isnull=True)
        return alive.update(deleted_at=_Now(), deletion_id=uuid7())  # type: ignore[return-value]


class Everything(Manager):
    """Sees every row, the deleted too."""

    def get_queryset(self) -> QuerySet[Any]:
        return Rows(self._model)


class Living(Everything):
    """Sees what is not deleted."""

    def get_queryset(self) -> QuerySet[Any]:
        return super().get_queryset().filter(deleted_at__isnull=True)


class BoundRelation(ReverseRelation[Any]):
    """A reverse relation that asks the database its instance came from."""

    @property
    def _query(self) -> QuerySet[Any]:
        return super()._query.using_db(active.client_of(self.instance))

    async def create(self, using_db: BaseDBAsyncClient | None = None, **kwargs: Any) -> Any:
        return await super().create(using_db or active.client_of(self.instance), **kwargs)


class ModelType(models.ModelMeta):
    """Gives each model a manager of its own: Tortoise would share one between siblings."""

    @staticmethod
    def build_meta(meta_class: Any, fields_map: Any, *rest: Any) -> models.MetaInfo:
        meta = models.ModelMeta.build_meta(meta_class, fields_map, *rest)
        meta.__class__ = BoundMeta
        meta.manager = Living() if "deleted_at" in fields_map else Everything()
        return meta


class Model(models.Model, metaclass=ModelType):
    """A row of one of our tables."""

    all_objects: ClassVar[Manager] = Everything()

    class Meta:
        abstract = True

    @classmethod
    def _choose_db(cls, for_write: bool = False) -> BaseDBAsyncClient:
        return cls._meta.db

    async def save(
        self,
        using_db: BaseDBAsyncClient | None = None,
        update_fields: Iterable[str] | None = None,
        force_create: bool = False,
        force_update: bool = False,
    ) -> None:
        """Write the instance back; an existing row only at the version that was read.

        Raises:
            StaleVersionError: the row has changed, moved or gone since.
        """
        client = using_db or active.client_of(self)
        await super().save(client, update_fields, force_create, force_update)

    async def fetch_related(self, *args: Any, using_db: BaseDBAsyncClient | None = None) -> None:
        """Load these relations, from the database this instance came from."""
        await super().fetch_related(*args, using_db=using_db or active.client_of(self))

    async def refresh_from_db(
        self, fields: Iterable[str] | None = None, using_db: BaseDBAsyncClient | None = None
    ) -> None:
        """Load the row again; a deleted one is not found."""
        client = using_db or active.client_of(self)
        row = await type(self)._meta.manager.get_queryset().using_db(client).get(pk=self.pk)
        for field in fields or self._meta.db_fields:
            setattr(self, field, getattr(row, field))

    async def delete(self, using_db: BaseDBAsyncClient | None = None) -> None:
        """Delete the row for real; the database refuses it for a person's data."""
        await super().delete(using_db or active.client_of(self))

    @classmethod
    async def _create_or_get(
        cls, db: BaseDBAsyncClient, defaults: dict[str, Any], **kwargs: Any
    ) -> tuple[Self, bool]:
        try:
            async with db._in_transaction():
                return await cls.create(db, **{**kwargs, **defaults}), True
        except IntegrityError:
            row = await cls.filter(**kwargs).using_db(db).get_or_none()
            if row is None:
                raise
            return row, False

    @classmethod
    async def update_or_create(
        cls,
        defaults: dict[str, Any] | None = None,
        using_db: BaseDBAsyncClient | None = None,
        **kwargs: Any,
    ) -> tuple[Self, bool]:
        """Update the row that matches, or create it."""
        db = using_db or cls._choose_db(True)
        async with db._in_transaction():
            row = await cls.select_for_update().using_db(db).get_or_none(**kwargs)
            if row is not None:
                await row.update_from_dict(defaults or {}).save(using_db=db)
                return row, False
        row, created = await cls._create_or_get(db, defaults or {}, **kwargs)
        return (row, True) if created else await cls.update_or_create(defaults, db, **kwargs)


class Entity(Model):
    """A row with an identity of its own, an optimistic lock and its times."""

    id = fields.UUIDField(primary_key=True, default=uuid7)
    version = fields.IntField(default=1)
    created_at = fields.DatetimeField(db_default=Now())
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        abstract = True


class SoftDelete(Model):
    """Rows that a deletion hides; ``deletion_id`` names the deletion that did."""

    delete_through: ClassVar[str | None] = None
    """The repository's method, where a deletion takes along more than the row."""

    deleted_at = fields.DatetimeField(null=True)
    deletion_id = fields.UUIDField(null=True)

    class Meta:
        abstract = True

    async def delete(self, using_db: BaseDBAsyncClient | None = None) -> None:
        """Delete as the repository does; ``restore`` brings it back."""
        client = using_db or active.client_of(self)
        await client.delete_instance(self)  # type: ignore[attr-defined]


class SoftDeleteEntity(Entity, SoftDelete):
    """An entity whose deletion can be taken back."""

    class Meta:
        abstract = True
