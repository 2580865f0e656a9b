"""The base of every model: bound to its handle, soft-deleted rows out of sight.

What reaches into Tortoise's private parts reaches into models of our own alone: here
``Model._choose_db`` (a foreign router has no say) and ``Model._init_from_db`` (an instance
knows where it came from); in ``active`` ``MetaInfo.db`` (which connection); in ``engine`` the
getters of relations (an instance's relations stay in its database); in ``hiding`` the joins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Self

from tortoise import fields, models
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.fields.db_defaults import Now
from tortoise.fields.relational import ReverseRelation
from tortoise.manager import Manager
from tortoise.queryset import QuerySet

from digitwin.errors import AlreadyExistsError, InvalidInputError
from digitwin.kernel.orm import active_handle, writes
from digitwin.kernel.orm.managers import Everything, Living
from digitwin.kernel.orm.orm_errors import our_words
from digitwin.kernel.orm.parent_visibility import Shelter
from digitwin.kernel.orm.relations import of_their_owners
from digitwin.kernel.primitives.ids import uuid7


class BoundRelation(ReverseRelation[Any]):
    """A reverse relation that asks the database its instance came from."""

    @property
    def _query(self) -> QuerySet[Any]:
        with our_words():
            rows = super()._query.using_db(active_handle.client_of(self.instance))
        return of_their_owners(rows, [self.instance])

    async def create(self, using_db: BaseDBAsyncClient | None = None, **kwargs: Any) -> Any:
        with our_words():
            return await super().create(
                using_db or active_handle.client_of(self.instance), **kwargs
            )

    def _raise_if_not_fetched(self) -> None:
        with our_words():
            super()._raise_if_not_fetched()


class ModelType(models.ModelMeta):
    """Gives each model a manager of its own: Tortoise would share one between siblings."""

    @staticmethod
    def build_meta(meta_class: Any, fields_map: Any, *rest: Any) -> models.MetaInfo:
        meta = models.ModelMeta.build_meta(meta_class, fields_map, *rest)
        meta.__class__ = active_handle.BoundMeta
        meta.manager = Living()
        return meta


class Model(models.Model, metaclass=ModelType):
    """A row of one of our tables."""

    all_objects: ClassVar[Manager] = Everything()

    hidden_with: ClassVar[Shelter | None] = None
    """The row whose deletion hides this one, where it has no ``deleted_at`` of its own."""

    class Meta:
        abstract = True

    @classmethod
    def _choose_db(cls, for_write: bool = False) -> BaseDBAsyncClient:
        return cls._meta.db

    @classmethod
    def _db_queryset(
        cls, using_db: BaseDBAsyncClient | None = None, for_write: bool = False
    ) -> QuerySet[Self]:
        rows = cls._meta.manager.get_queryset()
        return rows if using_db is None else rows.using_db(using_db)

    @classmethod
    def _init_from_db(cls, **kwargs: Any) -> Self:
        row = super()._init_from_db(**kwargs)
        row.__dict__["_origin"] = active_handle.client().origin
        return row

    def _set_kwargs(self, kwargs: dict[str, Any]) -> set[str]:
        """One field after the other, so that one that does not fit can be named."""
        passed: set[str] = super()._set_kwargs({})
        for name, value in kwargs.items():
            writes.refuse_naive(name, value)
            try:
                with our_words(name):
                    passed |= super()._set_kwargs({name: value})
            except writes.UNFIT as error:
                raise InvalidInputError(f"{name} does not fit", field=name) from error
        return passed

    @classmethod
    def _validate_relation_type(cls, field_key: str, value: models.Model | None) -> None:
        with our_words(field_key):
            super()._validate_relation_type(field_key, value)

    @classmethod
    async def _getbypk(cls, key: Any) -> Self:
        return await cls.get(pk=key)

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
            InvalidStateError: only a repository can make this change; it is named.
            InvalidInputError: a field does not fit.
        """
        client = using_db or active_handle.client_of(self)
        with our_words():
            await super().save(client, update_fields, force_create, force_update)

    async def fetch_related(self, *args: Any, using_db: BaseDBAsyncClient | None = None) -> None:
        """Load these relations, from the database this instance came from."""
        with our_words():
            await super().fetch_related(*args, using_db=using_db or active_handle.client_of(self))

    @classmethod
    async def fetch_for_list(
        cls,
        instance_list: Iterable[Any],
        *args: Any,
        using_db: BaseDBAsyncClient | None = None,
    ) -> None:
        """Load these relations of each instance, from the database it came from."""
        homes: dict[Any, list[Any]] = {}
        for instance in instance_list:
            homes.setdefault(using_db or active_handle.client_of(instance), []).append(instance)
        with our_words():
            for home, instances in homes.items():
                await super().fetch_for_list(instances, *args, using_db=home)

    async def refresh_from_db(
        self, fields: Iterable[str] | None = None, using_db: BaseDBAsyncClient | None = None
    ) -> None:
        """Load the row again; a deleted one is not found."""
        client = using_db or active_handle.client_of(self)
        names = list(fields or self._meta.db_fields)
        row = await type(self)._meta.manager.get_queryset().using_db(client).get(pk=self.pk)
        for name in names:
            setattr(self, name, getattr(row, name))

    async def delete(self, using_db: BaseDBAsyncClient | None = None) -> None:
        """Delete the row for real; the database refuses it for a person's data."""
        with our_words():
            await super().delete(using_db or active_handle.client_of(self))

    @classmethod
    async def bulk_update(  # type: ignore[override]
        cls,
        objects: Iterable[Any],
        fields: Iterable[str],
        batch_size: int | None = None,
        using_db: BaseDBAsyncClient | None = None,
    ) -> int:
        """Save these fields of each object, all or none; errors as :meth:`save`."""
        names, count = list(fields), 0
        async with (using_db or cls._choose_db(True))._in_transaction():
            for instance in objects:
                await instance.save(using_db, names)
                count += 1
        return count

    @classmethod
    async def get_or_create(
        cls,
        defaults: dict[str, Any] | None = None,
        using_db: BaseDBAsyncClient | None = None,
        **kwargs: Any,
    ) -> tuple[Self, bool]:
        """The row that matches, or a new one; of several callers at once one creates it."""
        db = using_db or cls._choose_db(True)
        row = await cls.filter(**kwargs).using_db(db).get_or_none()
        return (row, False) if row else await cls._create_or_get(db, defaults or {}, **kwargs)

    @classmethod
    async def _create_or_get(
        cls, db: BaseDBAsyncClient, defaults: dict[str, Any], **kwargs: Any
    ) -> tuple[Self, bool]:
        try:
            async with db._in_transaction():
                return await cls.create(db, **{**kwargs, **defaults}), True
        except AlreadyExistsError:
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

    resource: ClassVar[str]
    """What a row is called in a deletion's event."""

    deleted_at = fields.DatetimeField(null=True)
    deletion_id = fields.UUIDField(null=True)

    class Meta:
        abstract = True

    async def delete(self, using_db: BaseDBAsyncClient | None = None) -> None:
        """Delete as the repository does; ``restore`` brings it back."""
        await active_handle.client_of(self).delete_instance(self)


class SoftDeleteEntity(Entity, SoftDelete):
    """An entity whose deletion can be taken back."""

    class Meta:
        abstract = True


def every_model(base: type[Model] = Model) -> Iterator[type[Model]]:
    """Every model that was defined so far and has a table."""
    for model in base.__subclasses__():
        if not model._meta.abstract:
            yield model
        yield from every_model(model)
