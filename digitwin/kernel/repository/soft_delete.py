"""Soft delete: a deletion hides the row, and can be undone until it is final."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import TypeAdapter

from digitwin.errors import InvalidStateError
from digitwin.kernel.execution.core import operation
from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.primitives.validation import Line, validate
from digitwin.kernel.repository.entities import EntityRepository, M
from digitwin.kernel.sql import actor, crud
from digitwin.kernel.sql.audit_step import parameters

_REASON: TypeAdapter[str] = TypeAdapter(Annotated[str, Line(500)])


class SoftDeleteRepository(EntityRepository[M]):
    """The rows of a table with soft delete."""

    @operation
    async def get(
        self, id: UUID | str, *, user_id: UUID | str | None = None, include_deleted: bool = False
    ) -> M:
        """Return the row with this id.

        Args:
            user_id: the row's owner, if known; without it the row is looked up by id alone.
            include_deleted: return a deleted row too.

        Raises:
            NotFoundError: there is none, or it belongs to another person.
            InvalidInputError: an id is not a UUID.
        """
        return await self._get(id, user_id, include_deleted=include_deleted)

    @operation
    async def find(
        self, id: UUID | str, *, user_id: UUID | str | None = None, include_deleted: bool = False
    ) -> M | None:
        """Return the row with this id, or None; arguments and errors as :meth:`get`."""
        return await self._find(id, user_id, include_deleted=include_deleted)

    @operation
    async def delete(self, id: UUID | str, *, reason: str | None = None) -> None:
        """Hide the row until it is restored or the deletion becomes final; atomic.

        Args:
            reason: stored with the deletion's event, at most 500 characters.

        Raises:
            NotFoundError: there is no such row, or it is already deleted.
            InvalidInputError: ``reason`` is invalid.
        """
        await self._delete(id, reason)

    @operation
    async def restore(self, id: UUID | str) -> M:
        """Undo the deletion; atomic.

        Raises:
            NotFoundError: there is no such row, it is not deleted, or its deletion is final.
            InvalidStateError: its owner is deleted.
        """
        return await self._restore(id)

    @operation
    async def hard_delete(self, id: UUID | str) -> None:
        """Delete the row permanently, whether it is soft-deleted or not; atomic.

        Raises:
            NotFoundError: there is no such row.
        """
        key = self._key(id, None)
        async with self._core.transaction():
            if crud.is_owned(self.model):
                await self._core.db.fetchval(crud.hold_owner(self.model, tuple(key)), **key)
                await self._core.db.execute(crud.finish_deletion(self.model), id=key["id"])
            await self._core.db.execute("SET LOCAL digitwin.allow_hard_delete = 'on'")
            gone = await self._core.db.fetchval(crud.remove(self.model, tuple(key)), **key)
            await self._core.db.execute("SET LOCAL digitwin.allow_hard_delete = 'off'")
            if gone is None:
                raise self._missing(id)

    async def _delete(self, id: object, reason: object) -> M:
        key, event = self._key(id, None), deletion_event(reason)
        query = crud.hide(self.model, tuple(key))
        about = parameters(deletion_id=str(event["deletion_id"]))
        record = await self._core.db.fetchrow(query, **event, **key, **about)
        if record is None:
            raise self._missing(id)
        return self._row(record)

    async def _restore(self, id: object) -> M:
        key = self._key(id, None)
        record = await self._core.db.fetchrow(crud.show(self.model, tuple(key)), **key)
        if record is not None:
            return self._row(record)
        row = await self._find(id, None, include_deleted=True)
        if row is None or row.deleted_at is None:  # type: ignore[attr-defined]
            raise self._missing(id)
        raise InvalidStateError(f"{self.noun} belongs to a deleted user", id=str(id))


def deletion_event(reason: object) -> dict[str, Any]:
    """Return the ``deletion_id``, ``reason`` and ``actor_id`` of a new deletion.

    Raises:
        InvalidInputError: the reason is invalid.
    """
    why = None if reason is None else validate(_REASON, reason, "reason")
    return {"deletion_id": uuid7(), "reason": why, "actor_id": actor.current().actor_id}
