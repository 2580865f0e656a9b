"""Sessions are deleted, restored and removed with everything in them.

A deletion hides the session; its turns, items, usage, sources and artifacts are hidden with it,
since they have no deletion of their own. Cached answers that came from the session are deleted
at the commit: their callers tag them with :func:`session_tag`.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from uuid import UUID

from digitwin.conversations.artifacts.repository import SessionArtifacts
from digitwin.conversations.models import ConversationSession
from digitwin.conversations.queries import QUERIES
from digitwin.conversations.tables import SESSION_TAG
from digitwin.errors import AlreadyExistsError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.orm.active_handle import Found
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.repository.entities import taken
from digitwin.kernel.repository.ports import ArtifactQueue, CacheForgetter, FieldCipher
from digitwin.kernel.repository.soft_delete import SoftDeleteRepository
from digitwin.kernel.sql import crud


def session_tag(session_id: UUID | str) -> str:
    """Return the tag of cache entries that were made from a session.

    Entries with it are deleted with the session: ``db.cache.responses.set(key, answer,
    user_id=owner, tags=[session_tag(session.id)])``.

    Raises:
        InvalidInputError: ``session_id`` is not a UUID.
    """
    return f"{SESSION_TAG}:{parse_id(session_id, 'session_id')}"


class SessionDeletion(SoftDeleteRepository[ConversationSession], SessionArtifacts):
    """The methods of the session repository that delete and restore."""

    def __init__(
        self,
        core: Core,
        *,
        scope: UUID | None = None,
        cache: CacheForgetter,
        cipher: FieldCipher,
        queue: ArtifactQueue,
    ) -> None:
        super().__init__(core, scope=scope, cipher=cipher, queue=queue)
        self._cache = cache

    @operation
    async def delete(self, id: UUID | str, *, reason: str | None = None) -> None:
        """Soft-delete a session, which hides it with everything in it; atomic.

        An active session ends (``end_reason`` is ``deleted``). A turn that is being added is
        stored before, and hidden, or refused. Cached entries with the session's tag are deleted,
        see :func:`digitwin.session_tag`. Its ``external_id`` can be used again.

        Args:
            reason: stored with the deletion's event, at most 500 characters.

        Raises:
            NotFoundError: the session does not exist, not for this owner, or is deleted.
            InvalidInputError: ``reason`` is invalid.
        """
        async with self._core.transaction():
            session = await self._delete(id, reason)
            await self._cache.forget_tags([session_tag(session.id)])

    @operation
    async def restore(self, id: UUID | str) -> ConversationSession:
        """Undo the deletion of a session, and of those deleted together with it; atomic.

        It comes back with everything in it, as it was; it stays ended. Cached entries do not
        come back.

        Returns:
            The session as it is now.

        Raises:
            NotFoundError: the session does not exist, not for this owner, is not deleted, or its
                deletion is final.
            InvalidStateError: its owner is deleted.
            AlreadyExistsError: the owner has another session with its ``external_id`` by now
                (``id`` in the details); an open transaction stays usable.
        """
        try:
            async with self._savepoint():
                return await self._restore(id)
        except AlreadyExistsError as error:
            raise await self._name_taken(parse_id(id), error) from error

    @operation
    async def hard_delete(self, id: UUID | str) -> None:
        """Delete a session permanently with everything in it, soft-deleted or not; atomic.

        Its artifacts are queued for deletion by the hook ``on_artifact_delete``.

        Raises:
            NotFoundError: the session does not exist, or not for this owner.
        """
        async with self._core.transaction():
            session = await self._get(id, None, include_deleted=True)
            key = {"user_id": session.user_id, "id": session.id}
            await self._core.db.fetchval(crud.hold_owner(self.model, tuple(key)), **key)
            await self._core.db.fetchval(QUERIES["hold"], **key)
            await self._artifact_queue.queue_sessions(
                self._core.db, [session.user_id], [session.id]
            )
            await super().hard_delete(session.id)
            await self._cache.forget_tags([session_tag(session.id)])

    async def _hide(self, found: builtins.list[Found], events: Mapping[UUID, UUID]) -> int:
        hidden = await super()._hide(found, events)
        await self._cache.forget_tags([session_tag(row.id) for row in found])
        return hidden

    async def _name_taken(self, id: UUID, error: AlreadyExistsError) -> AlreadyExistsError:
        """Return the error with the session that has the name of a deleted one."""
        holder = await self._core.db.fetchval(
            QUERIES["living_namesake"], session_id=id, user_id=self._scope
        )
        return taken(error.details["field"], holder)
