"""Base classes of the models: bound to a handle, versioned, soft-deleted.

An instance remembers the handle it was read with (its ``_origin``); its relations, saves and
deletions use that handle. :mod:`tortoise_internals` lists the private methods overridden here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Self

from tortoise import fields, models
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.fields.db_defaults import Now
from tortoise.manager import Manager
from tortoise.queryset import QuerySet

from digitwin.errors import AlreadyExistsError, InvalidInputError
from digitwin.kernel.orm import active_handle, writes
from digitwin.kernel.orm.managers import AliveManager, AllRowsManager
from digitwin.kernel.orm.orm_errors import translated_errors
from digitwin.kernel.orm.parent_visibility import ParentVisibility
from digitwin.kernel.primitives.ids import uuid7


class ModelType(models.ModelMeta):
    """Gives each model its own manager; Tortoise shares one between subclasses of a model."""

    def __new__(cls, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> models.ModelMeta:
        # Else Tortoise parses the source of each model for comments: 60 ms of every start
        return super().__new__(cls, name, bases, {**attrs, "_no_comments": True})

    @staticmethod
    def build_meta(meta_class: Any, fields_map: Any, *rest: Any) -> models.MetaInfo:
        meta = models.ModelMeta.build_meta(meta_class, fields_map, *rest)
        meta.__class__ = active_handle.BoundMeta
        meta.manager = AliveManager()
        return meta


class Model(models.Model, metaclass=ModelType):
    """A row of one of digitwin's tables."""

    all_objects: ClassVar[Manager] = AllRowsManager()

    hidden_with: ClassVar[ParentVisibility | None] = None
    """The parent whose deletion hides this row, if it has no ``deleted_at`` of its own."""

    encrypted: ClassVar[tuple[str, ...]] = ()
    """Text fields that are stored encrypted; repositories decrypt them."""

    class Meta:
        abstract = True

    # Tortoise's own checks the type of a relation and forgets a default that is awaited. Here the
    # relation's setter checks, and no default is awaited. Without a method in Python, setting an
    # attribute calls nothing, and an instance needs no dictionary: a turn is made in half the time.
    __setattr__ = object.__setattr__  # type: ignore[assignment]

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
        row._origin = active_handle.client().origin  # type: ignore[attr-defined]
        del row._await_when_save  # as in rows of repositories; Tortoise does without it
        return row

    def _set_kwargs(self, kwargs: dict[str, Any]) -> set[str]:
        # One field at a time, so that the error can name the invalid one.
        passed: set[str] = super()._set_kwargs({})
        for name, value in kwargs.items():
            writes.refuse_naive(name, value)
            if name in self.encrypted:
                setattr(self, name, value)  # plain text of the caller: a save refuses it
                passed.add(name)
                continue
            refused = None
            try:
                with translated_errors(name):
                    passed |= super()._set_kwargs({name: value})
            except writes.CONVERSION_ERRORS:
                refused = InvalidInputError(f"{name} is not a valid value", field=name)
            if refused is not None:  # outside the handler: the field's error repeats the value
                try:
                    raise refused
                finally:
                    del refused
        return passed

    @classmethod
    def _validate_relation_type(cls, field_key: str, value: models.Model | None) -> None:
        with translated_errors(field_key):
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
        """Insert the instance, or update its row if that still has the version that was read.

        Raises:
            StaleVersionError: the row was changed or deleted since.
            InvalidStateError: only a repository may make this change; the error names it.
            InvalidInputError: names the invalid field.
        """
        client = using_db or active_handle.client_of(self)
        with translated_errors():
            await super().save(client, update_fields, force_create, force_update)

    async def fetch_related(self, *args: Any, using_db: BaseDBAsyncClient | None = None) -> None:
        """Load these relations from the database this instance was read from."""
        with translated_errors():
            await super().fetch_related(*args, using_db=using_db or active_handle.client_of(self))

    @classmethod
    async def fetch_for_list(
        cls,
        instance_list: Iterable[Any],
        *args: Any,
        using_db: BaseDBAsyncClient | None = None,
    ) -> None:
        """Load these relations of each instance from the database it was read from."""
        by_client: dict[Any, list[Any]] = {}
        for instance in instance_list:
            client = using_db or active_handle.client_of(instance)
            by_client.setdefault(client, []).append(instance)
        with translated_errors():
            for client, instances in by_client.items():
                await super().fetch_for_list(instances, *args, using_db=client)

    async def refresh_from_db(
        self, fields: Iterable[str] | None = None, using_db: BaseDBAsyncClient | None = None
    ) -> None:
        """Load the row again.

        Raises:
            NotFoundError: the row is missing or deleted.
        """
        client = using_db or active_handle.client_of(self)
        names = list(fields or self._meta.db_fields)
        row = await type(self)._meta.manager.get_queryset().using_db(client).get(pk=self.pk)
        for name in names:
            setattr(self, name, getattr(row, name))

    async def delete(self, using_db: BaseDBAsyncClient | None = None) -> None:
        """Delete the row permanently; the database refuses that for personal data."""
        with translated_errors():
            await super().delete(using_db or active_handle.client_of(self))

    @classmethod
    async def bulk_update(  # type: ignore[override]
        cls,
        objects: Iterable[Any],
        fields: Iterable[str],
        batch_size: int | None = None,
        using_db: BaseDBAsyncClient | None = None,
    ) -> int:
        """Save these fields of each object in one transaction, in the order of their ids.

        Returns:
            How many objects were saved.

        Raises:
            As :meth:`save`.
        """
        names, count = list(fields), 0
        async with (using_db or cls._choose_db(True))._in_transaction():
            for instance in sorted(objects, key=_locked_first):
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
        """Return the row that matches, or create it; only one of several callers creates it.

        Returns:
            The row, and whether it was created.
        """
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
        """Update the row that matches, or create it.

        Returns:
            The row, and whether it was created.
        """
        db = using_db or cls._choose_db(True)
        async with db._in_transaction():
            row = await cls.select_for_update().using_db(db).get_or_none(**kwargs)
            if row is not None:
                await row.update_from_dict(defaults or {}).save(using_db=db)
                return row, False
        row, created = await cls._create_or_get(db, defaults or {}, **kwargs)
        return (row, True) if created else await cls.update_or_create(defaults, db, **kwargs)


def _locked_first(instance: Any) -> tuple[str, str]:
    """Order in which the rows of an update are locked: that of statements that lock many."""
    return str(getattr(instance, "user_id", "")), str(instance.pk)


class Entity(Model):
    """A row with an id, an optimistic lock and timestamps."""

    id = fields.UUIDField(primary_key=True, default=uuid7)
    version = fields.IntField(default=1)
    created_at = fields.DatetimeField(db_default=Now())
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        abstract = True


class SoftDelete(Model):
    """A row that a deletion hides; ``deletion_id`` is the deletion's event."""

    restored_through: ClassVar[str] = "a repository's restore(id)"
    """The method that undoes a deletion."""

    resource: ClassVar[str]
    """The row's name in deletion events and in the audit trail."""

    deleted_at = fields.DatetimeField(null=True)
    deletion_id = fields.UUIDField(null=True)

    class Meta:
        abstract = True

    async def delete(self, using_db: BaseDBAsyncClient | None = None) -> None:
        """Delete as the repository does; its ``restore`` undoes it."""
        await active_handle.client_of(self).delete_instance(self)


class SoftDeleteEntity(Entity, SoftDelete):
    """An entity whose deletion can be undone."""

    class Meta:
        abstract = True


def every_model(base: type[Model] = Model) -> Iterator[type[Model]]:
    """Yield every model defined so far that has a table."""
    for model in base.__subclasses__():
        if not model._meta.abstract:
            yield model
        yield from every_model(model)
