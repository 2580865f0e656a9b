"""Conversation sessions: started with a participant, filled with turns, ended, and counted."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime

from typing_extensions import Unpack

from digitwin.conversations.adding_items import AddingItems
from digitwin.conversations.content.usage import SessionUsage
from digitwin.conversations.deletion import SessionDeletion
from digitwin.conversations.fields import (
    SESSION_CHANGES,
    SESSION_FILTERS,
    SessionChanges,
    SessionFilters,
)
from digitwin.conversations.latest.items import LatestItems
from digitwin.conversations.listing.sessions import SessionListing
from digitwin.conversations.living.ending import SessionEnding
from digitwin.conversations.living.turns import LivingTurns
from digitwin.conversations.models import ConversationSession
from digitwin.conversations.queries import QUERIES
from digitwin.conversations.search.searching import TurnSearch
from digitwin.conversations.starting import SessionStarting
from digitwin.conversations.statistics import SessionStatistics
from digitwin.conversations.transcripts.chat import ChatHistories
from digitwin.errors import AlreadyExistsError
from digitwin.kernel.execution.operations import operation, streaming
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.validation import PERIOD, Id, validate
from digitwin.kernel.repository.entities import taken
from digitwin.kernel.repository.paging import Page


class ConversationSessionRepository(
    SessionDeletion,
    SessionStarting,
    LivingTurns,
    SessionEnding,
    SessionListing,
    AddingItems,
    LatestItems,
    SessionUsage,
    TurnSearch,
    ChatHistories,
):
    """The sessions of a twin and their turns; what is deleted is hidden with all it contains."""

    model, noun = ConversationSession, "session"
    changes, filters = SESSION_CHANGES, SESSION_FILTERS

    @operation
    async def list(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        include_deleted: bool = False,
        newest_first: bool = False,
        **filters: Unpack[SessionFilters],
    ) -> Page[ConversationSession]:
        """Return a page of sessions, oldest first unless told otherwise.

        Args:
            limit: sessions per page, 1 to 1,000.
            after: the ``next_cursor`` of the previous page. It marks a session, so that it can be
                followed in either direction.
            newest_first: the newest session first.
            include_deleted: return deleted sessions too.
            **filters: see :class:`SessionFilters`.

        Raises:
            InvalidInputError: names the invalid argument or filter.
        """
        return await self._list(
            filters,
            limit=limit,
            after=after,
            include_deleted=include_deleted,
            newest_first=newest_first,
        )

    @streaming
    def stream(
        self, *, include_deleted: bool = False, **filters: Unpack[SessionFilters]
    ) -> AsyncGenerator[ConversationSession, None]:
        """Yield all matching sessions, oldest first, from a server-side cursor.

        Memory stays constant; one connection is held until the end.
        """
        return self._stream(filters, include_deleted=include_deleted)

    @operation
    async def count(
        self, *, include_deleted: bool = False, **filters: Unpack[SessionFilters]
    ) -> int:
        """Return the number of matching sessions."""
        return await self._count(filters, include_deleted=include_deleted)

    @operation
    async def exists(
        self, *, include_deleted: bool = False, **filters: Unpack[SessionFilters]
    ) -> bool:
        """Return whether any session matches."""
        return await self._exists(filters, include_deleted=include_deleted)

    @operation
    async def update(
        self, id: Id, *, expected_version: int | None = None, **changes: Unpack[SessionChanges]
    ) -> ConversationSession:
        """Change a session's ``external_id`` or ``metadata``, also after its end; atomic.

        Concurrent patches of different keys are all kept.

        Args:
            expected_version: fail unless the session has this version; every turn increments
                it, too.
            **changes: see :class:`SessionChanges`.

        Returns:
            The session as it is now.

        Raises:
            NotFoundError: the session does not exist, or not for this owner.
            StaleVersionError: the session does not have ``expected_version``.
            AlreadyExistsError: the owner has another session with this ``external_id`` (``id`` in
                the details); an open transaction stays usable.
            InvalidInputError: names the invalid field; ``metadata_patch`` if the metadata would
                become larger than 1 MiB of JSON.
        """
        if changes.get("external_id") is None:
            return await self._update(id, changes, expected_version)
        try:
            async with self._savepoint():
                return await self._update(id, changes, expected_version)
        except AlreadyExistsError as error:
            external_id = changes["external_id"]
            other = await self._core.db.fetchval(
                QUERIES["sibling_with_external_id"],
                session_id=parse_id(id),
                external_id=external_id,
            )
            raise taken("external_id", other) from error

    @operation
    async def statistics(
        self,
        *,
        user_id: Id | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> SessionStatistics:
        """Aggregate sessions and their turns, in one snapshot.

        Args:
            user_id: only this owner's sessions; if unset, those of the scope, else all.
            since: only sessions started at this moment or later.
            until: only sessions started before this moment.

        Returns:
            Totals, and percentiles for each stage.

        Raises:
            InvalidInputError: a time has no time zone.
        """
        period = validate(PERIOD, {"since": since, "until": until})
        record = await self._core.db.fetchrow(
            QUERIES["statistics"], user_id=self._owner(user_id), **period
        )
        assert record is not None
        return SessionStatistics.from_record(record)
