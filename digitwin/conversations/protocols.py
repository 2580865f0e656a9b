"""What the repository of sessions offers, for a fake to put in its place."""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Protocol

from typing_extensions import Unpack

from digitwin.conversations.fields import (
    NewSession,
    NewTurn,
    SessionChanges,
    SessionFields,
    SessionFilters,
    TurnChanges,
)
from digitwin.conversations.models import ConversationSession, ConversationTurn
from digitwin.conversations.statistics import SessionStatistics
from digitwin.conversations.turn_log import Id
from digitwin.kernel.repository.paging import Page


class ConversationSessions(Protocol):
    """See :class:`~digitwin.conversations.repository.ConversationSessionRepository`."""

    async def start(
        self, user_id: Id | None = None, *, id: Id | None = None, **fields: Unpack[SessionFields]
    ) -> ConversationSession: ...

    async def create(
        self, user_id: Id | None = None, *, id: Id | None = None, **fields: Unpack[SessionFields]
    ) -> ConversationSession: ...

    async def create_many(
        self, rows: Sequence[NewSession]
    ) -> builtins.list[ConversationSession]: ...

    async def get(self, id: Id, *, user_id: Id | None = None) -> ConversationSession: ...

    async def find(self, id: Id, *, user_id: Id | None = None) -> ConversationSession | None: ...

    async def list(
        self, *, limit: int = 50, after: str | None = None, **filters: Unpack[SessionFilters]
    ) -> Page[ConversationSession]: ...

    def stream(
        self, **filters: Unpack[SessionFilters]
    ) -> AsyncGenerator[ConversationSession, None]: ...

    async def count(self, **filters: Unpack[SessionFilters]) -> int: ...

    async def exists(self, **filters: Unpack[SessionFilters]) -> bool: ...

    async def update(
        self, id: Id, *, expected_version: int | None = None, **changes: Unpack[SessionChanges]
    ) -> ConversationSession: ...

    async def end(
        self, session_id: Id, *, user_id: Id | None = None, reason: str = "completed"
    ) -> ConversationSession: ...

    async def statistics(
        self,
        *,
        user_id: Id | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> SessionStatistics: ...

    async def add_turn(
        self, session_id: Id, *, user_id: Id | None = None, **turn: Unpack[NewTurn]
    ) -> ConversationTurn: ...

    async def add_turns(
        self, session_id: Id, new_turns: Sequence[NewTurn], *, user_id: Id | None = None
    ) -> builtins.list[ConversationTurn]: ...

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
        self, session_id: Id, *, user_id: Id | None = None, limit: int | None = None
    ) -> ConversationSession: ...

    async def turns(
        self,
        session_id: Id,
        *,
        user_id: Id | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> Page[ConversationTurn]: ...
