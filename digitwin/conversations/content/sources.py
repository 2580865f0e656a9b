"""What the answers of turns used."""

from __future__ import annotations

from digitwin.conversations.citation import Citation
from digitwin.conversations.content.items import SessionItems
from digitwin.conversations.content.queries import for_session
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.primitives.validation import Id


class SessionSources(SessionItems):
    """The methods of the session repository that concern sources."""

    @operation
    async def sources(
        self, turn_id: Id, *, session_id: Id | None = None, user_id: Id | None = None
    ) -> list[Citation]:
        """Return what a turn's answer used, in the order in which it was stored.

        A citation of a deleted document says so, and shows neither title nor quote.

        Args:
            session_id: the turn's session, if it must be that one.
            user_id: the owner; saves a lookup.

        Raises:
            NotFoundError: the turn does not exist, or not for this owner, or is in another
                session.
            InvalidInputError: an id is not a UUID.
        """
        key = self._content_key(turn_id, session_id, user_id)
        records = await self._core.db.fetch(for_session("sources", key["user_id"]), **key)
        return [Citation.from_record(record) for record in self._found(records, key)]
