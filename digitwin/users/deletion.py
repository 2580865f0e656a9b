"""Users are deleted and restored with everything they own."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from digitwin.errors import AlreadyExistsError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.orm.active_handle import Found
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.repository.cached_rows import forget_person
from digitwin.kernel.repository.entities import EntityRepository, taken
from digitwin.kernel.repository.paging import Page
from digitwin.kernel.repository.ports import ArtifactQueue, CacheForgetter
from digitwin.kernel.repository.soft_delete import SoftDeleteRepository, deletion_event
from digitwin.kernel.sql.audit_step import parameters
from digitwin.users import cascade
from digitwin.users.emails import normalised
from digitwin.users.fields import DELETION_FILTERS
from digitwin.users.models import Deletion, User
from digitwin.users.queries import QUERIES

MAX_DELETED: Final = 100
"""Users that a queryset's ``delete()`` deletes at once: each with everything they own."""


class UserDeletion(SoftDeleteRepository[User]):
    """The methods of the user repository that delete and restore."""

    model, noun = User, "user"
    most_at_once = MAX_DELETED

    def __init__(
        self,
        core: Core,
        *,
        scope: UUID | None = None,
        cache: CacheForgetter,
        queue: ArtifactQueue,
    ) -> None:
        super().__init__(core, scope=scope)
        self._cache = cache
        self._artifact_queue = queue
        self._events = _Deletions(core, scope=scope)

    @operation
    async def delete(self, id: UUID | str, *, reason: str | None = None) -> None:
        """Delete a user with everything they own, as one deletion; atomic.

        Voice models, face models, documents and sessions are hidden; open sessions end (reason
        ``user_deleted``); the e-mail can be used again; cached entries are deleted, also others'
        that were made from a session of theirs (:func:`digitwin.session_tag`).
        :meth:`restore` undoes the deletion until maintenance makes it final, after
        ``deletion_retention``.

        Args:
            reason: stored with the deletion's event, at most 500 characters.

        Raises:
            NotFoundError: there is no such user, or the user is already deleted.
            InvalidInputError: ``reason`` is invalid.
        """
        user_id, event = self._id(id), deletion_event(reason)
        async with self._core.transaction():
            if not await self._delete_user(user_id, event):
                raise self._missing(id)

    @operation
    async def restore(self, id: UUID | str) -> User:
        """Undo a user's deletion, and of everything that was deleted with them; atomic.

        Sessions stay ended. What was deleted before the user stays deleted.

        Returns:
            The restored user.

        Raises:
            NotFoundError: there is no such deleted user, or the deletion is final.
            AlreadyExistsError: another user has the e-mail now (``user_id`` in the details).
        """
        user_id = self._id(id)
        async with self._core.transaction():
            record = await self._core.db.fetchrow(QUERIES["restore"], user_id=user_id)
            if record is None:
                raise self._missing(id)
            user = self._row(record)
            await self._restore_belongings(user, record["was_deletion_id"])
        return user

    @operation
    async def hard_delete(self, id: UUID | str) -> None:
        """Delete a user and everything they own permanently; atomic. The audit trail stays.

        Trained voices and faces, and artifacts of sessions, are queued for deletion by the hook
        ``on_artifact_delete``; one whose address cannot be decrypted is not.

        Raises:
            NotFoundError: there is no such user, deleted or not.
        """
        user_id = self._id(id)
        async with self._core.transaction():
            db = self._core.db
            for hold in (QUERIES["hold"], *cascade.hold_belongings()):
                await db.fetchval(hold, user_id=user_id)
            await self._artifact_queue.queue(db, user_id)
            await forget_person(db, self._cache, user_id)
            await super().hard_delete(user_id)
            await db.execute(QUERIES["free_email"], user_id=user_id)

    @operation
    async def deletions(
        self, user_id: UUID | str | None = None, *, limit: int = 50, after: str | None = None
    ) -> Page[Deletion]:
        """Return a page of deletion events, oldest first, restored and final ones included.

        Args:
            user_id: the owner of what was deleted; if unset, the person of the scope, or all.
            limit: rows per page, 1 to 1,000.
            after: the ``next_cursor`` of the previous page.

        Raises:
            InvalidInputError: names the invalid id, limit or cursor.
        """
        whose = {} if user_id is None else {"user_id": user_id}
        return await self._events._list(whose, limit=limit, after=after)

    async def _hide(self, found: builtins.list[Found], events: Mapping[UUID, UUID]) -> int:
        """Delete people at their versions, in order: each is a deletion of its own."""
        deleted = 0
        for row in sorted(found):
            deleted += await self._delete_user(row.id, deletion_event(None), row.version)
        return deleted

    async def _delete_user(
        self, user_id: UUID, event: Mapping[str, Any], version: int | None = None
    ) -> bool:
        """Delete a user with everything they own; return False if there is none."""
        db, deletion = self._core.db, event["deletion_id"]
        about = parameters(deletion_id=str(deletion))
        found = await db.fetchval(
            QUERIES["delete"], user_id=user_id, version=version, **event, **about
        )
        if not found:
            return False
        await db.execute(cascade.hide_belongings(), user_id=user_id, deletion_id=deletion)
        await forget_person(db, self._cache, user_id)
        return True

    async def _restore_belongings(self, user: User, deletion: UUID) -> None:
        address = normalised(user.email)
        try:
            async with self._core.transaction():
                await self._core.db.execute(
                    cascade.restore_belongings(),
                    user_id=user.id,
                    deletion_id=deletion,
                    address=address,
                )
        except AlreadyExistsError as error:
            refused = await self._taken([], [address])
            raise AlreadyExistsError(
                "email belongs to another user",
                **refused.details,
                user_id=refused.details.get("id"),
            ) from error

    async def _taken(self, ids: Sequence[UUID], addresses: Sequence[str]) -> AlreadyExistsError:
        """Return the error for ids or addresses of which one is taken."""
        holder = await self._core.db.fetchrow(QUERIES["holder"], ids=ids, addresses=addresses)
        if holder is None:  # another person's, under a scope; or it is free again
            return taken("email", None)
        return taken(holder["field"], holder["id"])

    async def _find(
        self, id: object, user_id: object, *, include_deleted: bool = False
    ) -> User | None:
        person = parse_id(id)
        if self._owner(user_id) not in (None, person):
            return None
        return await super()._find(person, None, include_deleted=include_deleted)

    def _key(self, id: object, user_id: object) -> dict[str, Any]:
        return {"id": self._id(id)}

    def _id(self, id: object) -> UUID:
        user_id = parse_id(id)
        if self._scope not in (None, user_id):
            raise self._missing(id)
        return user_id


class _Deletions(EntityRepository[Deletion]):
    model, noun = Deletion, "deletion"
    filters = DELETION_FILTERS
