"""What is inside a session: items, sources and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, Unpack

from digitwin.conversations.citation import Citation
from digitwin.conversations.content.fields import (
    ItemKind,
    NewItem,
    UsageFigures,
    UsageGroup,
    UsageKind,
)
from digitwin.conversations.content.totals import UsageTotals
from digitwin.kernel.repository.paging import Page
from digitwin.models import TurnItem, UsageRecord
from digitwin.protocols.entities import Id


class SessionContents(Protocol):
    """What is inside a session besides its turns."""

    async def add_items(
        self,
        session_id: Id,
        items: Sequence[NewItem],
        turn_id: Id | None = None,
        *,
        user_id: Id | None = None,
    ) -> list[TurnItem]: ...
    async def items(
        self,
        turn_id: Id | None = None,
        *,
        session_id: Id | None = None,
        user_id: Id | None = None,
        kinds: Sequence[ItemKind] | None = None,
        newest_first: bool = False,
        limit: int = 50,
        after: str | None = None,
    ) -> Page[TurnItem]: ...
    async def latest_items(
        self,
        session_id: Id,
        *,
        user_id: Id | None = None,
        prefix: str = "",
        own_turns: Sequence[Id] = (),
        limit: int | None = None,
    ) -> list[TurnItem]: ...
    async def pop_item(
        self,
        session_id: Id,
        *,
        user_id: Id | None = None,
        prefix: str = "",
        own_turns: Sequence[Id] = (),
    ) -> TurnItem | None: ...
    async def sources(
        self, turn_id: Id, *, session_id: Id | None = None, user_id: Id | None = None
    ) -> list[Citation]: ...
    async def add_usage(
        self,
        *,
        session_id: Id,
        kind: UsageKind,
        turn_id: Id | None = None,
        model: str | None = None,
        provider: str | None = None,
        request_id: str | None = None,
        used_at: datetime | None = None,
        user_id: Id | None = None,
        **counts: Unpack[UsageFigures],
    ) -> UsageRecord: ...
    async def usage_totals(
        self,
        *,
        user_id: Id | None = None,
        session_id: Id | None = None,
        participant_id: Id | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        by: Sequence[UsageGroup] = ("model", "day"),
        time_zone: str = "UTC",
    ) -> list[UsageTotals]: ...
