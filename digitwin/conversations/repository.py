"""Conversation sessions: started with a participant, filled with turns, ended, and counted."""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Any

from typing_extensions import Unpack

from digitwin.conversations.fields import (
    REASON,
    SESSION,
    SESSION_CHANGES,
    SESSION_FILTERS,
    NewSession,
    SessionChanges,
    SessionFields,
    SessionFilters,
)
from digitwin.conversations.models import ConversationSession
from digitwin.conversations.participant import Participant
from digitwin.conversations.queries import QUERIES, for_session
from digitwin.conversations.statistics import SessionStatistics
from digitwin.conversations.turn_log import TurnLog
from digitwin.errors import NotFoundError
from digitwin.kernel.execution.core import operation, streaming
from digitwin.kernel.primitives.ids import parse_id, uuid7
from digitwin.kernel.primitives.validation import PERIOD, Id, dumps, validate
from digitwin.kernel.repository.entities import row_dicts
from digitwin.kernel.repository.paging import Page

_NOUNS = {"user_id": "user", "voice_model_id": "voice model", "face_model_id": "face model"}


class ConversationSessionRepository(TurnLog):
    """The sessions of a twin and their turns; those of a deleted owner are hidden."""

    model, noun = ConversationSession, "session"
    changes, filters = SESSION_CHANGES, SESSION_FILTERS

    @operation
    async def start(
        self, user_id: Id | None = None, *, id: Id | None = None, **fields: Unpack[SessionFields]
    ) -> ConversationSession:
        """Start a session with the twin of ``user_id``; atomic, one round trip.

        A participant of a known kind and ref is reused, also when two sessions start
        concurrently; a name or traits given now replace the stored ones.

        Args:
            user_id: the twin's owner; may be left out under ``for_user``.
            id: a UUID made by the caller, which makes a retry safe.
            **fields: see :class:`SessionFields`.

        Returns:
            The session, ``active`` and without turns.

        Raises:
            InvalidInputError: names the invalid field.
            NotFoundError: the owner, or one of the owner's models, is missing or deleted;
                names the field.
            AlreadyExistsError: the owner has a session with this ``external_id``, or the id is
                taken.
        """
        return await self._start(self._new_session({"user_id": user_id, "id": id, **fields}))

    create = start

    @operation
    async def create_many(self, rows: Sequence[NewSession]) -> builtins.list[ConversationSession]:
        """Start sessions, all or none.

        Args:
            rows: what ``start`` takes, up to 10,000 times.

        Returns:
            The sessions, in the given order.

        Raises:
            As ``start``.
        """
        new = [self._new_session(row) for row in row_dicts(rows)]
        sessions = {}
        async with self._core.transaction():
            for values in sorted(new, key=_lock_order):
                sessions[values["id"]] = await self._start(values)
        return [sessions[values["id"]] for values in new]

    @operation
    async def list(
        self, *, limit: int = 50, after: str | None = None, **filters: Unpack[SessionFilters]
    ) -> Page[ConversationSession]:
        """Return a page of sessions, oldest first.

        Args:
            limit: sessions per page, 1 to 1,000.
            after: the ``next_cursor`` of the previous page.
            **filters: see :class:`SessionFilters`.

        Raises:
            InvalidInputError: names the invalid argument or filter.
        """
        return await self._list(filters, limit=limit, after=after)

    @streaming
    def stream(
        self, **filters: Unpack[SessionFilters]
    ) -> AsyncGenerator[ConversationSession, None]:
        """Yield all matching sessions, oldest first, from a server-side cursor.

        Memory stays constant; one connection is held until the end.
        """
        return self._stream(filters)

    @operation
    async def count(self, **filters: Unpack[SessionFilters]) -> int:
        """Return the number of matching sessions."""
        return await self._count(filters)

    @operation
    async def exists(self, **filters: Unpack[SessionFilters]) -> bool:
        """Return whether any session matches."""
        return await self._exists(filters)

    @operation
    async def update(
        self, id: Id, *, expected_version: int | None = None, **changes: Unpack[SessionChanges]
    ) -> ConversationSession:
        """Change a session's ``external_id`` or ``metadata``, also after its end; atomic.

        Args:
            expected_version: fail unless the session has this version; every turn increments
                it, too.
            **changes: see :class:`SessionChanges`.

        Returns:
            The session as it is now.

        Raises:
            NotFoundError: the session does not exist, or not for this owner.
            StaleVersionError: the session does not have ``expected_version``.
            AlreadyExistsError: the owner has another session with this ``external_id``.
            InvalidInputError: names the invalid field.
        """
        return await self._update(id, changes, expected_version)

    @operation
    async def end(
        self, session_id: Id, *, user_id: Id | None = None, reason: str = "completed"
    ) -> ConversationSession:
        """End a session; atomic, by the database clock.

        A turn that is being added is stored before the end, or refused.

        Args:
            reason: stored as ``end_reason``, up to 64 characters.

        Returns:
            The ended session.

        Raises:
            NotFoundError: the session does not exist, or not for this owner.
            InvalidStateError: it has already ended.
            InvalidInputError: names the invalid argument.
        """
        key = self._session_key(session_id, user_id)
        record = await self._core.db.fetchrow(
            for_session("end", key["user_id"]), **key, reason=validate(REASON, reason, "reason")
        )
        if record is None:
            raise await self._not_active(key)
        return self._row(record)

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

    async def _start(self, values: Mapping[str, Any]) -> ConversationSession:
        record = await self._core.db.fetchrow(QUERIES["start"], **values)
        if record is None:
            raise await self._not_started(values)
        return self._row(record)

    def _new_session(self, given: dict[str, Any]) -> dict[str, Any]:
        """Validate a new session and return the values of the statement ``start``."""
        owner, id = self._require_owner(given.pop("user_id", None)), given.pop("id", None)
        fields = validate(SESSION, given)
        return {
            "user_id": owner,
            "id": uuid7() if id is None else parse_id(id),
            "external_id": fields.get("external_id"),
            "voice_model_id": fields.get("voice_model_id"),
            "face_model_id": fields.get("face_model_id"),
            "metadata": dumps(fields.get("metadata") or {}),
            **_participant_values(fields.get("participant")),
        }

    async def _not_started(self, values: Mapping[str, Any]) -> NotFoundError:
        exist = await self._core.db.fetchrow(QUERIES["references_exist"], **values)
        assert exist is not None
        # All may exist by now, for instance after a restore: `start` did not see one of them.
        field = next((field for field in _NOUNS if not exist[field]), "user_id")
        return NotFoundError(f"{_NOUNS[field]} not found", field=field, id=str(values[field]))


def _participant_values(participant: Participant | None) -> dict[str, Any]:
    if participant is None:
        return dict.fromkeys(("participant_id", "kind", "ref", "name", "traits"))
    return {
        "participant_id": uuid7(),
        "kind": participant.kind,
        "ref": participant.ref,
        "name": participant.name,
        "traits": dumps(list(participant.traits)),
    }


def _lock_order(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Order in which participants are locked: the same for all callers, to avoid deadlocks."""
    return str(values["user_id"]), values["kind"] or "", values["ref"] or ""
