"""Soft delete: a deletion hides the row, and can be undone until it is final."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final
from uuid import UUID

from pydantic import TypeAdapter

from digitwin.errors import InvalidInputError, InvalidStateError, StaleVersionError
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.orm.active_handle import Find, Found
from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.primitives.validation import DEFERRED, Line, validate
from digitwin.kernel.repository.entities import MAX_ROWS, EntityRepository, M
from digitwin.kernel.sql import actor, crud
from digitwin.kernel.sql.audit_step import parameters

STALE_ROUNDS: Final = 10
"""How often a queryset's ``delete()`` finds that all its rows have changed, before it gives up."""

_REASON: TypeAdapter[str] = TypeAdapter(Annotated[str, Line(500)], config=DEFERRED)


class SoftDeleteRepository(EntityRepository[M]):
    """The rows of a table with soft delete."""

    most_at_once: ClassVar[int] = MAX_ROWS
    """Rows that a queryset's ``delete()`` deletes at most."""

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
        """Undo the deletion; atomic. All rows that were deleted together come back.

        Returns:
            The row with this id.

        Raises:
            NotFoundError: there is no such row, it is not deleted, or its deletion is final.
            InvalidStateError: its owner is deleted.
        """
        return await self._restore(id)

    @operation
    async def hard_delete(self, id: UUID | str) -> None:
        """Delete the row permanently, whether it is soft-deleted or not; atomic.

        What other rows hold of its content, such as quotes of a document, is removed too.

        Raises:
            NotFoundError: there is no such row.
        """
        key, owner = self._key(id, None), None
        async with self._core.transaction():
            if crud.is_owned(self.model):
                owner = await self._core.db.fetchval(crud.hold_owner(self.model, tuple(key)), **key)
                await self._core.db.execute(crud.finish_deletion(self.model, tuple(key)), **key)
            await self._core.db.execute("SET LOCAL digitwin.allow_hard_delete = 'on'")
            gone = await self._core.db.fetchval(crud.remove(self.model, tuple(key)), **key)
            await self._core.db.execute("SET LOCAL digitwin.allow_hard_delete = 'off'")
            if gone is None:
                raise self._missing(id)
            for clear in crud.clear_orphans(self.model._meta.db_table):
                await self._core.db.execute(clear, user_id=owner)

    async def _delete(self, id: object, reason: object) -> M:
        key, event = self._key(id, None), deletion_event(reason)
        query = crud.hide(self.model, tuple(key))
        about = parameters(deletion_id=str(event["deletion_id"]))
        record = await self._core.db.fetchrow(query, **event, **key, **about)
        if record is None:
            raise self._missing(id)
        return self._row(record)

    async def _delete_found(self, find: Find) -> int:
        """Delete the rows of a queryset, as one deletion of each owner; return how many.

        A row that has changed since it was found is looked for again, since it may no longer
        be among those to delete.

        Raises:
            InvalidInputError: there are more than :attr:`most_at_once`.
            StaleVersionError: rows were changed by others again and again.
        """
        events: dict[UUID, UUID] = {}
        deleted = stale = 0
        async with self._core.transaction():
            while found := await find(self.most_at_once - deleted + 1, deleted):
                if deleted + len(found) > self.most_at_once:
                    raise self._too_many()
                for row in found:
                    events.setdefault(row.user_id, uuid7())
                hidden = await self._hide(found, events)
                deleted += hidden
                stale += not hidden
                if stale == STALE_ROUNDS:
                    raise StaleVersionError(table=self.model._meta.db_table)
        return deleted

    async def _hide(self, found: list[Found], events: Mapping[UUID, UUID]) -> int:
        """Delete these rows at their versions, each with its owner's event; return how many."""
        owners, ids, versions = zip(*found, strict=True)
        hidden = await self._core.db.fetch(
            crud.hide_many(self.model),
            user_id=owners,
            id=ids,
            version=versions,
            owner=list(events),
            event=list(events.values()),
            actor_id=actor.current().actor_id,
        )
        return len(hidden)

    def _too_many(self) -> InvalidInputError:
        return InvalidInputError(
            f"More than {self.most_at_once:,} rows match: delete them in parts, each with"
            f" limit({self.most_at_once})",
            field="query",
            limit=self.most_at_once,
        )

    async def _restore(self, id: object) -> M:
        key = self._key(id, None)
        record = await self._core.db.fetchrow(crud.show(self.model, tuple(key)), **key)
        if record is not None:
            return self._row(record)
        row = await self._find(id, None, include_deleted=True)
        if row is None or row.deleted_at is None:  # type: ignore[attr-defined]
            raise self._missing(id)
        raise InvalidStateError(f"{self.noun} belongs to a deleted user", id=str(row.pk))


def deletion_event(reason: object) -> dict[str, Any]:
    """Return the ``deletion_id``, ``reason`` and ``actor_id`` of a new deletion.

    Raises:
        InvalidInputError: the reason is invalid.
    """
    why = None if reason is None else validate(_REASON, reason, "reason")
    return {"deletion_id": uuid7(), "reason": why, "actor_id": actor.current().actor_id}
