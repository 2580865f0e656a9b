"""Repositories of voice and face models."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from uuid import UUID

from typing_extensions import Unpack

from digitwin.errors import InvalidInputError, InvalidStateError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.operations import operation, streaming
from digitwin.kernel.primitives.validation import validate
from digitwin.kernel.repository.entities import row_dicts, version_of
from digitwin.kernel.repository.paging import Page
from digitwin.kernel.repository.ports import ArtifactQueue, FieldCipher
from digitwin.kernel.sql import crud
from digitwin.likeness.activation import ActivationRepository, M, queries_of
from digitwin.likeness.fields import (
    CHANGES,
    FILTERS,
    NEW,
    STEPS,
    ModelChanges,
    ModelFilters,
    NewModel,
    NewModelRow,
)
from digitwin.likeness.models import FaceModel, VoiceModel


class LikenessRepository(ActivationRepository[M]):
    """The methods of voice and face models.

    A model can be active only while its owner's consent is in force (``db.consents``). Deleting
    the active model leaves its owner without one; ``restore`` makes it active again, unless
    another model has become active since.
    """

    new, changes, filters = NEW, CHANGES, FILTERS

    def __init__(
        self, core: Core, cipher: FieldCipher, *, queue: ArtifactQueue, scope: UUID | None = None
    ) -> None:
        super().__init__(core, cipher, scope=scope)
        self._artifact_queue = queue

    @operation
    async def create(self, *, id: UUID | str | None = None, **fields: Unpack[NewModel]) -> M:
        """Create a model, and activate it with ``is_active=True``; atomic.

        Args:
            id: a UUID made by the caller makes a retry safe.
            **fields: see :class:`NewModel`.

        Returns:
            The new model.

        Raises:
            InvalidInputError: names the invalid field.
            NotFoundError: the user is missing or deleted.
            AlreadyExistsError: the id is taken.
            InvalidStateError: ``is_active`` without ``status="ready"``.
            ConsentRequiredError: ``is_active`` without the person's consent.
        """
        if fields.get("is_active") is not True:
            return await self._create(id, fields)
        async with self._core.transaction():
            model = await self._create(id, {**fields, "is_active": False})
            return await self._activate(model.user_id, model.id)

    @operation
    async def create_many(self, rows: Sequence[NewModelRow]) -> list[M]:
        """Create up to 10,000 models, of one or more people; all or none.

        Args:
            rows: see :class:`NewModelRow`.

        Returns:
            The new models, in the order of the rows.

        Raises:
            As ``create``; also InvalidInputError if two rows of one person are active.
        """
        given = row_dicts(rows)
        active = {
            n: self._require_owner(row.get("user_id"))
            for n, row in enumerate(given)
            if row.get("is_active") is True
        }
        if len(set(active.values())) < len(active):
            raise InvalidInputError("a person can have one active model", field="is_active")
        async with self._core.transaction():
            models = await self._create_many(
                {**row, "is_active": False} if n in active else row for n, row in enumerate(given)
            )
            # By owner, so that concurrent calls take the locks of several people in one order.
            for n in sorted(active, key=active.__getitem__):
                models[n] = await self._activate(active[n], models[n].id)
            return models

    @operation
    async def list(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        include_deleted: bool = False,
        **filters: Unpack[ModelFilters],
    ) -> Page[M]:
        """Return a page of models, oldest first.

        Args:
            limit: rows per page, 1 to 1,000.
            after: the ``next_cursor`` of the previous page.
            include_deleted: return deleted models too.
            **filters: see :class:`ModelFilters`.

        Raises:
            InvalidInputError: names the invalid limit, cursor or filter.
        """
        return await self._list(filters, limit=limit, after=after, include_deleted=include_deleted)

    @streaming
    def stream(
        self, *, include_deleted: bool = False, **filters: Unpack[ModelFilters]
    ) -> AsyncGenerator[M, None]:
        """Yield all models that match, oldest first, in constant memory.

        Holds a connection and a server-side cursor until it is exhausted or closed.
        """
        return self._stream(filters, include_deleted=include_deleted)

    @operation
    async def count(self, *, include_deleted: bool = False, **filters: Unpack[ModelFilters]) -> int:
        """Return the number of models that match."""
        return await self._count(filters, include_deleted=include_deleted)

    @operation
    async def exists(
        self, *, include_deleted: bool = False, **filters: Unpack[ModelFilters]
    ) -> bool:
        """Return whether any model matches."""
        return await self._exists(filters, include_deleted=include_deleted)

    @operation
    async def update(
        self,
        id: UUID | str,
        *,
        expected_version: int | None = None,
        **changes: Unpack[ModelChanges],
    ) -> M:
        """Change fields of a model; atomic.

        A status changes only as :data:`STEPS` allows. The active model must stay ready:
        deactivate it, or activate another, before it is trained again.

        Args:
            expected_version: refuse the update if the row has another version.
            **changes: see :class:`ModelChanges`.

        Returns:
            The updated model.

        Raises:
            NotFoundError: there is no such model.
            StaleVersionError: the row does not have ``expected_version``.
            InvalidStateError: the status cannot change like this.
            InvalidInputError: names the invalid field.
        """
        given = validate(CHANGES, dict(changes))
        if "status" not in given:
            return await self._update(id, given, expected_version)
        async with self._core.transaction():
            await self._check_step(id, given["status"], expected_version)
            return await self._update(id, given, expected_version)

    @operation
    async def hard_delete(self, id: UUID | str) -> None:
        """Delete a model permanently, whether it is soft-deleted or not; atomic.

        What was trained is queued for deletion by the hook ``on_artifact_delete``, unless its
        address cannot be decrypted.

        Raises:
            NotFoundError: there is no such model.
        """
        key, db = self._key(id, None), self._core.db
        async with self._core.transaction():
            await db.fetchval(crud.hold_owner(self.model, tuple(key)), **key)
            held = {"user_id": self._scope, "kind": self.purpose, **key}
            rows = await db.fetch(self.queries["hold_removed"], **held)
            await self._artifact_queue.queue_rows(db, rows)
            await super().hard_delete(id)

    async def _check_step(self, id: object, status: str, expected_version: object) -> None:
        model = await self._get(id, None)
        row = await self._core.db.fetchrow(
            self.queries["locked_state"], user_id=model.user_id, id=model.id
        )
        if row is None:
            raise self._missing(id)
        if expected_version is not None and version_of(expected_version) != row["version"]:
            return  # the update raises StaleVersionError
        now = row["status"]
        if status != now and status not in STEPS[now]:
            raise InvalidStateError(
                f"A {self.noun} cannot go from {now} to {status}", id=str(id), status=now
            )
        if status != "ready" and row["is_active"]:
            raise InvalidStateError(
                f"This {self.noun} is active: deactivate it, or activate another, before its"
                f" status becomes {status}",
                id=str(id),
                status=now,
            )


class VoiceModelRepository(LikenessRepository[VoiceModel]):
    """Repository of voice models (``db.voices``)."""

    model, noun, purpose = VoiceModel, "voice model", "voice"
    queries = queries_of("voice_models")


class FaceModelRepository(LikenessRepository[FaceModel]):
    """Repository of face models (``db.faces``)."""

    model, noun, purpose = FaceModel, "face model", "face"
    queries = queries_of("face_models")
