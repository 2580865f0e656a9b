"""The repositories of personal data: unscoped, of one person, or across people with a reason.

No scope holds a connection: role and person go with each statement, or with BEGIN.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from typing import Annotated
from uuid import UUID

from pydantic import TypeAdapter
from typing_extensions import Unpack

from digitwin.audit.repository import AuditLogRepository
from digitwin.cache.repository import CacheRepository
from digitwin.consents.fields import Permits
from digitwin.consents.repository import ConsentRepository
from digitwin.conversations.recorder.flushing import Recorders
from digitwin.conversations.recorder.recorder import TurnRecorder
from digitwin.conversations.repository import ConversationSessionRepository
from digitwin.kernel.connection import scopes
from digitwin.kernel.connection.transactions import outside
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.executor import RunOnce
from digitwin.kernel.primitives.validation import DEFERRED, Id, line, validate
from digitwin.kernel.repository.ports import ArtifactQueue
from digitwin.kernel.sql.actor import ActingAs, Who
from digitwin.keys.keyring import KeyRing
from digitwin.knowledge.repository import KnowledgeDocumentRepository
from digitwin.likeness.repository import FaceModelRepository, VoiceModelRepository
from digitwin.memories.repository import MemoryRepository
from digitwin.users.repository import UserRepository

PERMITS: Permits = {
    repository.purpose: repository.model._meta.db_table
    for repository in (VoiceModelRepository, FaceModelRepository)
}
"""For each purpose of a consent, the table whose models it permits to be active."""

_REASON: TypeAdapter[str] = TypeAdapter(Annotated[str, line(500)], config=DEFERRED)


async def _outside_transaction(record: Callable[[], Awaitable[object]]) -> None:
    """Commit on its own: the record must survive a rollback of the caller's transaction."""
    with outside():
        await record()


class PersonalRepositories:
    """The repositories of personal data; limited to one person if ``user_id`` is set."""

    def __init__(
        self,
        core: Core,
        cache: CacheRepository,
        keys: KeyRing,
        queue: ArtifactQueue,
        user_id: UUID | None,
    ) -> None:
        self._core = core
        self.user_id = user_id
        self.users = UserRepository(core, scope=user_id, cache=cache, queue=queue)
        self.voices = VoiceModelRepository(core, keys, scope=user_id, queue=queue)
        self.faces = FaceModelRepository(core, keys, scope=user_id, queue=queue)
        self.consents = ConsentRepository(core, PERMITS, scope=user_id)
        self.sessions = ConversationSessionRepository(
            core, scope=user_id, cache=cache, cipher=keys, queue=queue
        )
        self.documents = KnowledgeDocumentRepository(core, scope=user_id, cache=cache)
        self.memories = MemoryRepository(core, scope=user_id)

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """As :meth:`Database.transaction`, in this scope; joins an open transaction."""
        return self._core.transaction()

    def recorder(
        self,
        session_id: Id,
        *,
        user_id: Id | None = None,
        participant_id: Id | None = None,
        language: str | None = None,
    ) -> TurnRecorder:
        """As :meth:`Database.recorder`, in this scope."""
        return TurnRecorder(
            self._core,
            session_id,
            user_id=self.sessions._owner(user_id),
            scope=self.user_id,
            participant_id=participant_id,
            language=language,
        )

    def guarding(self, name: str) -> AbstractContextManager[None]:
        """As :meth:`Database.guarding`."""
        return self._core.shared(Recorders).guarding(name)

    def acting_as(self, **who: Unpack[Who]) -> ActingAs:
        """As :meth:`Database.acting_as`; the actor need not be the person of the scope."""
        return ActingAs(**who)


class UserScope(PersonalRepositories):
    """The repositories of personal data, bound to one person.

    Every statement filters by the person's id, and row security checks it again: rows of other
    people are not found.
    """

    user_id: UUID

    def __init__(
        self,
        core: Core,
        cache: CacheRepository,
        keys: KeyRing,
        queue: ArtifactQueue,
        user_id: UUID,
    ) -> None:
        super().__init__(core.scoped(scopes.of_person(user_id)), cache, keys, queue, user_id)


class ServiceScope(PersonalRepositories):
    """The repositories of personal data, for work across people.

    Raises:
        InvalidInputError: ``reason`` is not one line of 1 to 500 characters.
    """

    def __init__(
        self,
        core: Core,
        cache: CacheRepository,
        keys: KeyRing,
        queue: ArtifactQueue,
        audit: AuditLogRepository,
        reason: str,
    ) -> None:
        why = {"reason": validate(_REASON, reason, "reason")}
        record = partial(audit.record, "scope.service", "scope", metadata=why)
        announce = partial(_outside_transaction, record)
        super().__init__(
            core.scoped(scopes.ACROSS_PEOPLE, before=RunOnce(announce)), cache, keys, queue, None
        )
