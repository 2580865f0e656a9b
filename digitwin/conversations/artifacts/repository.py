"""Recordings, videos, images and files of sessions: addresses of what the service keeps itself."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from typing_extensions import Unpack

from digitwin.conversations.artifacts.fields import (
    FILTERS,
    NEW,
    RECORDED,
    ArtifactFilters,
    NewArtifact,
)
from digitwin.conversations.artifacts.rows import ArtifactRows
from digitwin.conversations.contents import SessionArtifact
from digitwin.conversations.models import ConversationSession
from digitwin.errors import (
    ConsentRequiredError,
    DigiTwinError,
    InvalidStateError,
    NotFoundError,
)
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.primitives.ids import parse_id, uuid7
from digitwin.kernel.primitives.validation import Id, bounded, validate
from digitwin.kernel.repository.entities import EntityRepository, taken
from digitwin.kernel.repository.paging import Page, decode_cursor
from digitwin.kernel.repository.ports import ArtifactQueue, FieldCipher


class SessionArtifacts(EntityRepository[ConversationSession]):
    """The methods of the session repository that concern artifacts.

    Artifacts are hidden with their session. They are stored until ``delete_artifact``, the
    session's final deletion, or an erasure of the owner or of a speaker: each queues the object
    for the hook ``on_artifact_delete``.

    Args:
        cipher: encrypts addresses and checksums with the owner's key.
        queue: takes the objects to delete.
        others: what the classes beside this one need.
    """

    def __init__(
        self,
        core: Core,
        *,
        cipher: FieldCipher,
        queue: ArtifactQueue,
        scope: UUID | None = None,
        **others: Any,
    ) -> None:
        super().__init__(core, scope=scope, **others)
        self._artifacts = ArtifactRows(core, cipher, scope=scope)
        self._artifact_queue = queue

    @operation
    async def add_artifact(
        self,
        session_id: Id,
        *,
        id: Id | None = None,
        user_id: Id | None = None,
        **artifact: Unpack[NewArtifact],
    ) -> SessionArtifact:
        """Note an object that the service keeps of a session, also after its end; atomic.

        A recording or a video needs the owner's consent ``recording`` in force; its withdrawal
        refuses later ones and keeps those that are there. If this raises, the object is not known
        here: the caller deletes it.

        Args:
            id: a UUID made by the caller makes a retry safe.
            user_id: the session's owner, if known; saves a lookup.
            **artifact: see :class:`NewArtifact`.

        Returns:
            The artifact, its address and checksum decrypted.

        Raises:
            InvalidInputError: names the invalid field.
            NotFoundError: the session does not exist, or not for this owner; or the turn
                (``turn_id``) does not exist in it.
            ConsentRequiredError: the owner's consent ``recording`` is not in force.
            InvalidStateError: somebody who spoke in the session was erased.
            AlreadyExistsError: the id is taken.
            KeyUnavailableError: the owner's key was destroyed or is unavailable.
        """
        given = validate(NEW, artifact)
        session = parse_id(session_id, "session_id")
        new_id = uuid7() if id is None else parse_id(id)
        owner = await self._artifacts.owner_of(session, self._owner(user_id))
        purpose = "recording" if given["kind"] in RECORDED else None
        values: dict[str, Any] = {
            **dict.fromkeys(NewArtifact.__annotations__),
            **given,
            "metadata": given.get("metadata") or {},
            "user_id": owner,
            "session_id": session,
            "id": new_id,
        }
        added = await self._artifacts.add(values, purpose)
        if isinstance(added, str):
            raise self._not_added(added, values)
        return added

    @operation
    async def artifacts(
        self,
        session_id: Id,
        *,
        user_id: Id | None = None,
        limit: int = 50,
        after: str | None = None,
        **filters: Unpack[ArtifactFilters],
    ) -> Page[SessionArtifact]:
        """Return a page of a session's artifacts, in the order of their ids.

        An artifact whose address or checksum cannot be decrypted comes with the others: its
        ``unreadable`` names the fields, and reading one raises.

        Args:
            user_id: the session's owner, if known.
            limit: artifacts per page, 1 to 1,000.
            after: the ``next_cursor`` of the previous page.
            **filters: see :class:`ArtifactFilters`.

        Raises:
            NotFoundError: the session does not exist, or not for this owner.
            InvalidInputError: names the invalid argument or filter.
        """
        size = bounded(limit, "limit", at_least=1, at_most=1000)
        start = None if after is None else decode_cursor(after)
        key = {
            "session_id": parse_id(session_id, "session_id"),
            "user_id": self._owner(user_id),
        }
        return await self._artifacts.page(key, validate(FILTERS, filters), size, start)

    @operation
    async def get_artifact(self, id: Id, *, user_id: Id | None = None) -> SessionArtifact:
        """Return the artifact with this id, its address and checksum decrypted.

        Raises:
            NotFoundError: there is none, its session is deleted, or it belongs to another person.
            KeyUnavailableError: the owner's key was destroyed or is unavailable.
            InvalidStateError: a value was changed in the database or moved from another row.
            InvalidInputError: an id is not a UUID.
        """
        row = await self._artifacts.one(id, user_id)
        if row is None:
            raise NotFoundError("artifact not found", field="id", id=str(parse_id(id)))
        return row

    @operation
    async def find_artifact(self, id: Id, *, user_id: Id | None = None) -> SessionArtifact | None:
        """Return the artifact, or None; arguments and errors as :meth:`get_artifact`."""
        return await self._artifacts.one(id, user_id)

    @operation
    async def delete_artifact(self, id: Id, *, user_id: Id | None = None) -> None:
        """Delete an artifact: its object is queued for the hook, and its row removed; atomic.

        The hook ``on_artifact_delete`` is called after the commit, with retries, also if this
        process is killed.

        Raises:
            NotFoundError: there is none, its session is deleted, or it belongs to another person.
            KeyUnavailableError, InvalidStateError: its address cannot be read, so that the object
                could not be deleted; the row is kept.
            InvalidInputError: an id is not a UUID.
        """
        await self._artifacts.remove(id, user_id, self._artifact_queue)

    def _not_added(self, reason: str, values: dict[str, Any]) -> DigiTwinError:
        session_id, owner = str(values["session_id"]), str(values["user_id"])
        if reason == "session":
            return NotFoundError("session not found", field="session_id", id=session_id)
        if reason == "turn":
            return NotFoundError("turn not found", field="turn_id", id=str(values["turn_id"]))
        if reason == "erased":
            return InvalidStateError("Somebody who spoke in the session was erased", id=session_id)
        if reason == "id":
            return taken("id", values["id"])
        return ConsentRequiredError(
            f"A {values['kind']} needs the person's consent, and none is in force:"
            ' db.consents.grant(user_id, purpose="recording", evidence=…)',
            purpose="recording",
            user_id=owner,
        )
