"""Reads sessions page by page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from typing_extensions import Unpack

from digitwin.conversations.fields import SessionFilters
from digitwin.conversations.listing.overview import PREVIEW, SessionOverview
from digitwin.conversations.models import ConversationSession
from digitwin.errors import InvalidInputError
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.repository.entities import EntityRepository
from digitwin.kernel.repository.paging import Page, page_of
from digitwin.kernel.sql.queries import Queries

QUERIES = Queries(__package__, table="conversation_sessions", preview=str(PREVIEW))


class SessionListing(EntityRepository[ConversationSession]):
    """The methods of the session repository that read pages."""

    @operation
    async def overviews(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        newest_first: bool = True,
        **filters: Unpack[SessionFilters],
    ) -> Page[SessionOverview]:
        """Return a page of sessions, each with its participant and last turn; one statement.

        Args:
            limit: sessions per page, 1 to 1,000.
            after: the ``next_cursor`` of the previous page.
            newest_first: the newest session first, or the oldest.
            **filters: see :class:`SessionFilters`.

        Raises:
            InvalidInputError: names the invalid argument or filter.
        """
        page, values, size = self._page(
            filters, limit=limit, after=after, newest_first=newest_first
        )
        query = QUERIES.variant(
            "overviews", page=page.sql, direction=" DESC" if newest_first else ""
        )
        records = await self._core.db.fetch(replace(page, sql=query.sql), **values)
        rows = [SessionOverview.of(self._row(record), record) for record in records]
        return page_of(rows, size, lambda row: row.session.id)

    def _conditions(self, filters: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        equal, null = super()._conditions(filters)
        who = equal.pop("participant", None)
        if who is not None:
            if who.ref is None:
                raise InvalidInputError(
                    "participant needs a ref; without one, filter by participant_id",
                    field="participant",
                )
            equal["own_participant" if "user_id" in equal else "participant"] = [who.kind, who.ref]
        return equal, null
