"""Conversations: begun with somebody, filled turn by turn, ended once, and counted."""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any

from typing_extensions import Unpack

from digitwin.conversations import statistics
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
from digitwin.conversations.statements import statement
from digitwin.conversations.statistics import SessionStatistics
from digitwin.conversations.turn_log import Id, TurnLog
from digitwin.errors import NotFoundError
from digitwin.kernel.execution.core import operation, streaming
from digitwin.kernel.primitives.ids import parse_id, uuid7
from digitwin.kernel.primitives.validation import PERIOD, dumps, validate
from digitwin.kernel.repository.entities import listed
from digitwin.kernel.repository.paging import Page
from digitwin.kernel.sql.audit_step import parameters

_NAMED = {"user_id": "user", "voice_model_id": "voice model", "face_model_id": "face model"}


class ConversationSessionRepository(TurnLog):
    """A twin's conversations; those of a deleted owner are hidden."""

    model, noun = ConversationSession, "session"
    changes, filters = SESSION_CHANGES, SESSION_FILTERS

    @operation
    async def start(
        self, user_id: Id | None = None, *, id: Id | None = None, **fields: Unpack[SessionFields]
    ) -> ConversationSession:
        """Begin a session with the twin of ``user_id``; atomic, one round trip.

        A participant who comes again by the same kind and ref is the same participant, also
        when two sessions start at once; a name or traits given now replace those kept.

        Args:
            user_id: the twin's owner; may be left out under ``for_user``.
            id: a UUID made by the caller, which makes trying again safe.
            **fields: see :class:`SessionFields`.

        Raises:
            InvalidInputError: names the field that does not fit.
            NotFoundError: the owner, or a model of the owner's that ``field`` names, is missing
                or deleted.
            AlreadyExistsError: the owner has a session of this ``external_id``, or of this id.
        """
        return await self._start(self._laid_out({"user_id": user_id, "id": id, **fields}))

    create = start

    @operation
    async def create_many(self, rows: Sequence[NewSession]) -> builtins.list[ConversationSession]:
        """Begin several sessions, all or none, in the order given; 10,000 at the most.

        Raises:
            As ``start``.
        """
        laid_out = [self._laid_out(row) for row in listed(rows)]
        sessions: dict[int, ConversationSession] = {}
        async with self._core.transaction():
            for n in sorted(range(len(laid_out)), key=lambda n: _participant_of(laid_out[n])):
                sessions[n] = await self._start(laid_out[n])
        return [sessions[n] for n in range(len(laid_out))]

    @operation
    async def list(
        self, *, limit: int = 50, after: str | None = None, **filters: Unpack[SessionFilters]
    ) -> Page[ConversationSession]:
        """A page of sessions, oldest first.

        Args:
            limit: how many, 1 to 1,000.
            after: the ``next_cursor`` of the page before.

        Raises:
            InvalidInputError: a limit, cursor or filter that does not fit.
        """
        return await self._list(filters, limit=limit, after=after)

    @streaming
    def stream(
        self, **filters: Unpack[SessionFilters]
    ) -> AsyncGenerator[ConversationSession, None]:
        """All that match, oldest first, through a cursor on the server, in constant memory."""
        return self._stream(filters)

    @operation
    async def count(self, **filters: Unpack[SessionFilters]) -> int:
        """How many match."""
        return await self._count(filters)

    @operation
    async def exists(self, **filters: Unpack[SessionFilters]) -> bool:
        """Whether any matches."""
        return await self._exists(filters)

    @operation
    async def update(
        self, id: Id, *, expected_version: int | None = None, **changes: Unpack[SessionChanges]
    ) -> ConversationSession:
        """Change a session's ``external_id`` or ``metadata``, also after its end; atomic.

        Every turn moves the session's version too.

        Raises:
            NotFoundError: there is no such session for this caller.
            StaleVersionError: it no longer has ``expected_version``.
            AlreadyExistsError: the owner has another session of this ``external_id``.
            InvalidInputError: names the field that does not fit.
        """
        return await self._update(id, changes, expected_version)

    @operation
    async def end(
        self, session_id: Id, *, user_id: Id | None = None, reason: str = "completed"
    ) -> ConversationSession:
        """End a session, once, by the database's clock; a turn on its way is in or refused.

        Args:
            reason: why, in up to 64 characters.

        Raises:
            NotFoundError: there is no such session for this caller.
            InvalidStateError: it has ended already.
            InvalidInputError: names the field that does not fit.
        """
        target = self._target(session_id, user_id)
        sql = statement("end", owner_known=target[0] is not None)
        record = await self._core.db.fetchrow(
            sql, *target, validate(REASON, reason, "reason"), *parameters().values()
        )
        if record is None:
            raise await self._refusal(target)
        return self._row(record)

    @operation
    async def statistics(
        self,
        *,
        user_id: Id | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> SessionStatistics:
        """What the sessions started from ``since`` up to, but not at, ``until`` add up to.

        Of one owner, or outside ``for_user`` of everybody; as of one moment.

        Raises:
            InvalidInputError: a time without its zone.
        """
        period = validate(PERIOD, {"since": since, "until": until})
        record = await self._core.db.fetchrow(
            statement("statistics", owner_known=True),
            self._owner(user_id),
            period["since"],
            period["until"],
        )
        assert record is not None
        return statistics.of(record)

    async def _start(self, row: tuple[Any, ...]) -> ConversationSession:
        record = await self._core.db.fetchrow(
            statement("start", owner_known=True), *row, *parameters().values()
        )
        if record is None:
            raise await self._missing_part(row)
        return self._row(record)

    def _laid_out(self, given: dict[str, Any]) -> tuple[Any, ...]:
        """A new session as the parameters of the statement ``start``."""
        owner, id = self._require_owner(given.pop("user_id", None)), given.pop("id", None)
        fields = validate(SESSION, given)
        return (
            owner,
            uuid7() if id is None else parse_id(id),
            fields.get("external_id"),
            fields.get("voice_model_id"),
            fields.get("face_model_id"),
            dumps(fields.get("metadata") or {}),
            *_participant(fields.get("participant")),
        )

    async def _missing_part(self, row: tuple[Any, ...]) -> NotFoundError:
        """Which of the rows that a session names is not there."""
        named = {"user_id": row[0], "voice_model_id": row[3], "face_model_id": row[4]}
        there = await self._core.db.fetchrow(
            statement("present", owner_known=True), *named.values()
        )
        assert there is not None
        # all are there by now: the owner was not when it mattered, or a model's deletion came first
        field = next((field for field in named if not there[field]), "user_id")
        return NotFoundError(f"{_NAMED[field]} not found", field=field, id=str(named[field]))


def _participant(participant: Participant | None) -> tuple[Any, ...]:
    if participant is None:
        return None, None, None, None, None
    traits = dumps(list(participant.traits))
    return uuid7(), participant.kind, participant.ref, participant.name, traits


def _participant_of(row: tuple[Any, ...]) -> tuple[str, ...]:
    """An order in which nobody waits for somebody who waits for them: one for all callers."""
    owner, kind, ref = row[0], *row[7:9]
    return str(owner), kind or "", ref or ""
