"""The end of a session, which can be taken back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from digitwin.conversations.fields import REASON
from digitwin.conversations.models import ConversationSession
from digitwin.conversations.queries import for_session
from digitwin.conversations.turn_log import TurnLog
from digitwin.errors import DigiTwinError, InvalidInputError, InvalidStateError
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.primitives.validation import DEFERRED, AwareDatetime, Id, validate

_NOT_ENDED = "The session has not ended"
_MOMENT: TypeAdapter[datetime] = TypeAdapter(AwareDatetime, config=DEFERRED)


class SessionEnding(TurnLog):
    """The methods of the session repository that end a session and open it again."""

    @operation
    async def end(
        self,
        session_id: Id,
        *,
        user_id: Id | None = None,
        reason: str = "completed",
        ended_at: datetime | None = None,
    ) -> ConversationSession:
        """End a session; atomic, by the database clock unless ``ended_at`` is given.

        Turns that arrive later are stored until ``late_turns`` seconds after ``ended_at``, then
        refused. A turn that is open stays open for as long; ``maintain()`` then closes it as
        abandoned.

        Args:
            reason: stored as ``end_reason``, up to 64 characters.
            ended_at: when it ended, with a time zone, not before its start.

        Returns:
            The ended session.

        Raises:
            NotFoundError: the session does not exist, or not for this owner.
            InvalidStateError: it has already ended.
            InvalidInputError: names the invalid argument.
        """
        reason = validate(REASON, reason, "reason")
        moment = None if ended_at is None else validate(_MOMENT, ended_at, "ended_at")
        key = self._session_key(session_id, user_id)
        query = for_session("end", key["user_id"])
        record = await self._core.db.fetchrow(query, **key, reason=reason, ended_at=moment)
        if record is None:
            raise await self._not_changed(key, "The session has ended", has_moment=bool(moment))
        return self._row(record)

    @operation
    async def reopen(self, session_id: Id, *, user_id: Id | None = None) -> ConversationSession:
        """Take a session's end back, so that it accepts turns again; atomic.

        Returns:
            The session, ``active``, without ``ended_at`` and ``end_reason``.

        Raises:
            NotFoundError: the session does not exist, or not for this owner.
            InvalidStateError: it has not ended, or its participant was erased.
        """
        key = self._session_key(session_id, user_id)
        record = await self._core.db.fetchrow(for_session("reopen", key["user_id"]), **key)
        if record is None:
            raise await self._not_changed(key, _NOT_ENDED)
        return self._row(record)

    async def _not_changed(
        self, key: Mapping[str, Any], why: str, *, has_moment: bool = False
    ) -> DigiTwinError:
        """Return why a session did not end, or open again."""
        found = await self._core.db.fetchrow(for_session("status", key["user_id"]), **key)
        if found is None:
            return self._missing(key["session_id"])
        status = found["status"]
        if why == _NOT_ENDED and found["end_reason"] == "participant_erased":
            why = "The session's participant was erased: it stays ended"
        if has_moment and status == "active":
            return InvalidInputError("ended_at is before the session's start", field="ended_at")
        return InvalidStateError(why, id=str(key["session_id"]), status=status)
