"""Conversation sessions, their turns, and what they can be made into."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any, Protocol, Unpack

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
)
from digitwin.models import (
    ConversationSession,
    ConversationTurn,
    SessionArtifact,
)
from digitwin.protocols.contents import SessionContents
from digitwin.protocols.entities import CreatesMany, Id, SoftDeletes


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
        items: Sequence[NewItem] = (),
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
