"""The repositories of personal data: of the handle, of ``for_user`` and of ``for_service``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any, Protocol, Unpack

from digitwin.consents.fields import ConsentFilters, Evidence, Purpose
from digitwin.conversations.artifacts.fields import ArtifactFilters, NewArtifact
from digitwin.conversations.content.fields import NewItem, NewSource
from digitwin.conversations.fields import (
    NewNamedSession,
    NewSession,
    NewTurn,
    SessionChanges,
    SessionFields,
    SessionFilters,
    TurnChanges,
)
from digitwin.conversations.listing.overview import SessionOverview
from digitwin.conversations.living.fields import (
    ClosedStatus,
    OpenedTurn,
    TurnClosing,
    TurnExtension,
)
from digitwin.conversations.search.fields import Order
from digitwin.conversations.search.hits import TurnHit
from digitwin.conversations.statistics import SessionStatistics
from digitwin.conversations.transcripts.chat import HistoryFields, Messages
from digitwin.conversations.transcripts.importing import ImportedConversation, Lines
from digitwin.kernel.repository.paging import Page
from digitwin.knowledge.fields import (
    Audience,
    DocumentChanges,
    DocumentFilters,
    NewDocument,
    NewDocumentRow,
)
from digitwin.knowledge.leases import Lease
from digitwin.knowledge.results import DocumentStatistics, SearchHit
from digitwin.likeness.fields import ModelChanges, ModelFilters, NewModel, NewModelRow
from digitwin.models import (
    Consent,
    ConversationSession,
    ConversationTurn,
    Deletion,
    FaceModel,
    KnowledgeDocument,
    SessionArtifact,
    User,
    VoiceModel,
)
from digitwin.protocols.contents import SessionContents
from digitwin.protocols.entities import CreatesMany, Id, Reads, Seconds, SoftDeletes, T
from digitwin.users.fields import NewUser, NewUserRow, UserChanges, UserFilters


class UserLookup(Protocol):
    """Looks users up by e-mail."""

    async def get_by_email(self, email: str) -> User: ...
    async def find_by_email(self, email: str) -> User | None: ...


class Users(UserLookup, CreatesMany[User, NewUserRow], SoftDeletes[User], Protocol):
    """``db.users``: see :class:`~digitwin.users.repository.UserRepository`."""

    async def create(self, *, id: Id | None = None, **fields: Unpack[NewUser]) -> User: ...
    async def list(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        include_deleted: bool = False,
        **filters: Unpack[UserFilters],
    ) -> Page[User]: ...
    def stream(
        self, *, include_deleted: bool = False, **filters: Unpack[UserFilters]
    ) -> AsyncGenerator[User, None]: ...
    async def count(
        self, *, include_deleted: bool = False, **filters: Unpack[UserFilters]
    ) -> int: ...
    async def exists(
        self, *, include_deleted: bool = False, **filters: Unpack[UserFilters]
    ) -> bool: ...
    async def update(
        self, id: Id, *, expected_version: int | None = None, **changes: Unpack[UserChanges]
    ) -> User: ...
    async def deletions(
        self, user_id: Id | None = None, *, limit: int = 50, after: str | None = None
    ) -> Page[Deletion]: ...


class LikenessModels(CreatesMany[T, NewModelRow], SoftDeletes[T], Protocol[T]):
    """See :class:`~digitwin.likeness.repository.LikenessRepository`."""

    async def create(self, *, id: Id | None = None, **fields: Unpack[NewModel]) -> T: ...
    async def list(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        include_deleted: bool = False,
        **filters: Unpack[ModelFilters],
    ) -> Page[T]: ...
    def stream(
        self, *, include_deleted: bool = False, **filters: Unpack[ModelFilters]
    ) -> AsyncGenerator[T, None]: ...
    async def count(
        self, *, include_deleted: bool = False, **filters: Unpack[ModelFilters]
    ) -> int: ...
    async def exists(
        self, *, include_deleted: bool = False, **filters: Unpack[ModelFilters]
    ) -> bool: ...
    async def update(
        self, id: Id, *, expected_version: int | None = None, **changes: Unpack[ModelChanges]
    ) -> T: ...
    async def activate(self, id: Id) -> T: ...
    async def deactivate(self, id: Id) -> T: ...
    async def active_for(self, user_id: Id | None = None) -> T | None: ...


class VoiceModels(LikenessModels[VoiceModel], Protocol):
    """``db.voices``."""


class FaceModels(LikenessModels[FaceModel], Protocol):
    """``db.faces``."""


class Consents(Reads[Consent], Protocol):
    """``db.consents``: see :class:`~digitwin.consents.repository.ConsentRepository`."""

    async def grant(
        self,
        user_id: Id | None = None,
        *,
        purpose: Purpose,
        evidence: Evidence,
        expires: datetime | Seconds | None = None,
    ) -> Consent: ...
    async def withdraw(self, user_id: Id | None = None, *, purpose: Purpose) -> Consent: ...
    async def in_force(self, user_id: Id | None = None, *, purpose: Purpose) -> Consent | None: ...
    async def list(
        self, *, limit: int = 50, after: str | None = None, **filters: Unpack[ConsentFilters]
    ) -> Page[Consent]: ...


class SessionTurns(Protocol):
    """The turns of a session."""

    async def add_turn(
        self, session_id: Id, *, user_id: Id | None = None, **turn: Unpack[NewTurn]
    ) -> ConversationTurn: ...
    async def add_turns(
        self, session_id: Id, new_turns: Sequence[NewTurn], *, user_id: Id | None = None
    ) -> list[ConversationTurn]: ...
    async def open_turn(
        self,
        session_id: Id,
        *,
        user_id: Id | None = None,
        id: Id | None = None,
        **turn: Unpack[OpenedTurn],
    ) -> ConversationTurn: ...
    async def extend_turn(
        self,
        turn_id: Id,
        *,
        session_id: Id,
        user_id: Id | None = None,
        items: Sequence[NewItem] = (),
        sources: Sequence[NewSource] = (),
        **turn: Unpack[TurnExtension],
    ) -> ConversationTurn: ...
    async def close_turn(
        self,
        turn_id: Id,
        *,
        session_id: Id,
        user_id: Id | None = None,
        status: ClosedStatus = "completed",
        items: Sequence[NewItem] = (),
        sources: Sequence[NewSource] = (),
        **turn: Unpack[TurnClosing],
    ) -> ConversationTurn: ...
    async def amend_turn(
        self,
        turn_id: Id,
        *,
        session_id: Id,
        user_id: Id | None = None,
        expected_version: int | None = None,
        **changes: Unpack[TurnChanges],
    ) -> ConversationTurn: ...
    async def with_turns(
        self,
        session_id: Id,
        *,
        user_id: Id | None = None,
        limit: int | None = None,
        items: bool = False,
    ) -> ConversationSession: ...
    async def turns(
        self,
        session_id: Id,
        *,
        user_id: Id | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> Page[ConversationTurn]: ...


class Transcripts(Protocol):
    """Conversations as files."""

    def export(self, session_id: Id, *, user_id: Id | None = None) -> AsyncGenerator[str, None]: ...
    async def import_lines(
        self, lines: Lines, *, user_id: Id | None = None
    ) -> list[ImportedConversation]: ...
    async def import_openai(
        self, messages: Messages, *, user_id: Id | None = None, **fields: Unpack[HistoryFields]
    ) -> ImportedConversation: ...
    async def import_langchain(
        self, messages: Messages, *, user_id: Id | None = None, **fields: Unpack[HistoryFields]
    ) -> ImportedConversation: ...
    async def to_openai(
        self, session_id: Id, *, user_id: Id | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]: ...
    async def to_langchain(
        self, session_id: Id, *, user_id: Id | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]: ...


class SessionArtifacts(Protocol):
    """What the service keeps of a session in its own storage."""

    async def add_artifact(
        self,
        session_id: Id,
        *,
        id: Id | None = None,
        user_id: Id | None = None,
        **artifact: Unpack[NewArtifact],
    ) -> SessionArtifact: ...
    async def artifacts(
        self,
        session_id: Id,
        *,
        user_id: Id | None = None,
        limit: int = 50,
        after: str | None = None,
        **filters: Unpack[ArtifactFilters],
    ) -> Page[SessionArtifact]: ...
    async def get_artifact(self, id: Id, *, user_id: Id | None = None) -> SessionArtifact: ...
    async def find_artifact(
        self, id: Id, *, user_id: Id | None = None
    ) -> SessionArtifact | None: ...
    async def delete_artifact(self, id: Id, *, user_id: Id | None = None) -> None: ...


class SearchableTurns(Protocol):
    """Full-text search over what was said to one person's twin."""

    async def search(
        self,
        query: str,
        *,
        user_id: Id | None = None,
        audience: Audience = "owner",
        participant_id: Id | None = None,
        session_id: Id | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order: Order = "relevance",
        limit: int = 10,
    ) -> list[TurnHit]: ...


class ConversationSessions(
    SessionTurns,
    Transcripts,
    SessionArtifacts,
    SessionContents,
    SearchableTurns,
    CreatesMany[ConversationSession, NewSession],
    SoftDeletes[ConversationSession],
    Protocol,
):
    """``db.sessions``.

    See :class:`~digitwin.conversations.repository.ConversationSessionRepository`.
    """

    async def start(
        self, user_id: Id | None = None, *, id: Id | None = None, **fields: Unpack[SessionFields]
    ) -> ConversationSession: ...
    async def create(
        self, user_id: Id | None = None, *, id: Id | None = None, **fields: Unpack[SessionFields]
    ) -> ConversationSession: ...
    async def start_or_get(
        self,
        user_id: Id | None = None,
        *,
        external_id: str,
        id: Id | None = None,
        **fields: Unpack[NewNamedSession],
    ) -> tuple[ConversationSession, bool]: ...
    async def list(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        include_deleted: bool = False,
        newest_first: bool = False,
        **filters: Unpack[SessionFilters],
    ) -> Page[ConversationSession]: ...
    async def overviews(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        newest_first: bool = True,
        **filters: Unpack[SessionFilters],
    ) -> Page[SessionOverview]: ...
    def stream(
        self, *, include_deleted: bool = False, **filters: Unpack[SessionFilters]
    ) -> AsyncGenerator[ConversationSession, None]: ...
    async def count(
        self, *, include_deleted: bool = False, **filters: Unpack[SessionFilters]
    ) -> int: ...
    async def exists(
        self, *, include_deleted: bool = False, **filters: Unpack[SessionFilters]
    ) -> bool: ...
    async def update(
        self, id: Id, *, expected_version: int | None = None, **changes: Unpack[SessionChanges]
    ) -> ConversationSession: ...
    async def end(
        self,
        session_id: Id,
        *,
        user_id: Id | None = None,
        reason: str = "completed",
        ended_at: datetime | None = None,
    ) -> ConversationSession: ...
    async def reopen(self, session_id: Id, *, user_id: Id | None = None) -> ConversationSession: ...
    async def statistics(
        self,
        *,
        user_id: Id | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> SessionStatistics: ...


class SearchableDocuments(Protocol):
    """Full-text search over one person's documents."""

    async def search(
        self,
        query: str,
        *,
        user_id: Id | None = None,
        audience: Audience = "owner",
        limit: int = 10,
    ) -> list[SearchHit]: ...


class DocumentQueue(Protocol):
    """The queue of documents that wait for a worker."""

    async def claim(
        self, *, worker: str, lease_seconds: Seconds, max_attempts: int | None = None
    ) -> Lease | None: ...
    async def complete(self, lease: Lease) -> KnowledgeDocument: ...
    async def fail(self, lease: Lease, error: str) -> KnowledgeDocument: ...
    async def renew(self, lease: Lease, lease_seconds: Seconds | None = None) -> Lease: ...
    async def retry(self, id: Id) -> KnowledgeDocument: ...


class KnowledgeDocuments(
    SearchableDocuments,
    DocumentQueue,
    CreatesMany[KnowledgeDocument, NewDocumentRow],
    SoftDeletes[KnowledgeDocument],
    Protocol,
):
    """``db.documents``: see :class:`~digitwin.knowledge.repository.KnowledgeDocumentRepository`."""

    async def create(
        self, *, id: Id | None = None, **fields: Unpack[NewDocument]
    ) -> KnowledgeDocument: ...
    async def list(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        include_deleted: bool = False,
        **filters: Unpack[DocumentFilters],
    ) -> Page[KnowledgeDocument]: ...
    def stream(
        self, *, include_deleted: bool = False, **filters: Unpack[DocumentFilters]
    ) -> AsyncGenerator[KnowledgeDocument, None]: ...
    async def count(
        self, *, include_deleted: bool = False, **filters: Unpack[DocumentFilters]
    ) -> int: ...
    async def exists(
        self, *, include_deleted: bool = False, **filters: Unpack[DocumentFilters]
    ) -> bool: ...
    async def update(
        self, id: Id, *, expected_version: int | None = None, **changes: Unpack[DocumentChanges]
    ) -> KnowledgeDocument: ...
    async def statistics(self, user_id: Id | None = None) -> DocumentStatistics: ...
