"""The turns of a session: appended without gaps, amended, and read in order.

A turn's position comes from its session's counter, incremented by the statement that stores the
turn: the counter's row lock serializes concurrent writers, and a failed statement rolls the
counter back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any
from uuid import UUID

from typing_extensions import Unpack

from digitwin.conversations import turns
from digitwin.conversations.appending import TurnAppends, append_one
from digitwin.conversations.content.loading import session_with_contents
from digitwin.conversations.fields import TURN, TURN_CHANGES, TURNS, NewTurn, TurnChanges
from digitwin.conversations.models import ConversationSession, ConversationTurn
from digitwin.conversations.queries import for_session
from digitwin.conversations.session_methods import SessionMethods
from digitwin.errors import (
    DigiTwinError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    StaleVersionError,
)
from digitwin.kernel.connection.transactions import Transaction
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.orm.hydration import compact_hydrator, fill, hydrate
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.iterables import listed
from digitwin.kernel.primitives.validation import Id, bounded, validate
from digitwin.kernel.repository.entities import MAX_ROWS
from digitwin.kernel.repository.paging import Page, decode_cursor, encode_cursor

MAX_INTEGER = 2**31 - 1
"""The largest value of a position or a version; as ``before`` it excludes no turn."""


class TurnLog(SessionMethods):
    """The methods of the session repository that concern turns.

    ``user_id`` is the session's owner in all of them; a caller who knows it saves a lookup.
    """

    @operation
    async def add_turn(
        self, session_id: Id, *, user_id: Id | None = None, **turn: Unpack[NewTurn]
    ) -> ConversationTurn:
        """Append an exchange; atomic, one round trip, positions without gaps.

        Idempotent with an ``idempotency_key``: a repeated call stores nothing and returns the
        first turn whatever the repeat contains, also when both run concurrently and after the
        session has ended.

        Args:
            **turn: see :class:`NewTurn`; times in whole milliseconds, texts up to 100,000
                characters.

        Returns:
            The stored turn with its ``position``, from 1.

        Raises:
            InvalidInputError: there is no text, or names the invalid field.
            NotFoundError: the session does not exist, or not for this owner.
            InvalidStateError: the session has ended.
        """
        values = turns.new_turn(validate(TURN, turn))
        key = self._session_key(session_id, user_id)
        record = await self._append(key, values)
        if record is None:
            raise await self._not_active(key)
        return self._turn(record)

    @operation
    async def add_turns(
        self, session_id: Id, new_turns: Sequence[NewTurn], *, user_id: Id | None = None
    ) -> list[ConversationTurn]:
        """Append exchanges in the given order, contiguous, all or none; one round trip.

        Meant for imports. Unlike :meth:`add_turn` it does not return existing turns: an
        ``idempotency_key`` that is already stored fails the whole batch.

        Args:
            new_turns: up to 10,000 turns.

        Returns:
            The stored turns, in order.

        Raises:
            InvalidInputError: names ``new_turns``; the message names the turn and the field.
            NotFoundError: the session does not exist, or not for this owner.
            InvalidStateError: the session has ended.
            AlreadyExistsError: an ``idempotency_key`` is taken.
        """
        given = listed(new_turns, "new_turns", at_most=MAX_ROWS, of="turns")
        valid = validate(TURNS, given, "new_turns")
        if not valid:
            return []
        key, columns = self._session_key(session_id, user_id), turns.new_turns(valid, "new_turns")
        query = for_session("add_turns", key["user_id"])
        async with self._savepoint():
            records = await self._core.db.fetch(query, **key, **columns)
        if not records:
            raise await self._not_active(key)
        return [self._turn(record) for record in records]

    @operation
    async def amend_turn(
        self,
        turn_id: Id,
        *,
        session_id: Id,
        user_id: Id | None = None,
        expected_version: int | None = None,
        **changes: Unpack[TurnChanges],
    ) -> ConversationTurn:
        """Complete or correct a turn, also in an ended session; atomic.

        Args:
            expected_version: fail unless the turn has this version.
            **changes: see :class:`TurnChanges`; what is left out keeps its value, stage by
                stage. ``interrupted=False`` sets the status to completed.

        Returns:
            The turn as it is now.

        Raises:
            InvalidInputError: there are no changes, or names the invalid field.
            NotFoundError: the turn does not exist in this session, or not for this owner; or
                names ``participant_id``: an open transaction stays usable.
            StaleVersionError: the turn does not have ``expected_version``.
        """
        values = turns.amendment(validate(TURN_CHANGES, changes))
        if expected_version is not None:
            expected_version = bounded(
                expected_version, "expected_version", at_least=1, at_most=MAX_INTEGER
            )
        key = self._session_key(session_id, user_id)
        key["turn_id"] = parse_id(turn_id, "turn_id")
        query = for_session("amend_turn", key["user_id"])
        may_fail = values["participant_id"] or values["started_at"]  # unknown, or after its end
        async with self._savepoint() if may_fail else nullcontext():
            record = await self._core.db.fetchrow(
                query, **key, **values, expected_version=expected_version
            )
        if record is None:
            raise await self._not_amended(key, expected_version)
        return self._turn(record)

    @operation
    async def with_turns(
        self,
        session_id: Id,
        *,
        user_id: Id | None = None,
        limit: int | None = None,
        items: bool = False,
    ) -> ConversationSession:
        """Load a session together with its turns, in one snapshot; one round trip.

        Args:
            limit: load only this many of the newest turns; all if unset.
            items: load what is inside the turns too: ``turn.items`` and ``turn.sources``, and
                ``session.items``, which without a ``limit`` are all, those in no turn among them.

        Returns:
            The session; its ``turns`` are loaded, oldest first.

        Raises:
            NotFoundError: the session does not exist, or not for this owner.
            InvalidInputError: ``limit`` is below 1.
        """
        if limit is not None:
            limit = bounded(limit, "limit", at_least=1, at_most=MAX_INTEGER)
        if items:
            return await self._with_contents(session_id, user_id, limit)
        session, newest_first = await self._read(session_id, user_id, MAX_INTEGER, limit)
        fill(session.turns, newest_first[::-1])
        return session

    @operation
    async def turns(
        self,
        session_id: Id,
        *,
        user_id: Id | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> Page[ConversationTurn]:
        """Return a page of turns; pages run from the newest to the oldest.

        Args:
            limit: turns per page, 1 to 1,000.
            before: the ``next_cursor`` of a page, for the turns just before it; if unset, the
                page ends with the newest turn.

        Returns:
            The page; within it the oldest turn comes first.

        Raises:
            NotFoundError: the session does not exist, or not for this owner.
            InvalidInputError: names the invalid argument.
        """
        size = bounded(limit, "limit", at_least=1, at_most=1000)
        end = MAX_INTEGER if before is None else _position(before)
        _, newest_first = await self._read(session_id, user_id, end, size + 1)
        items = newest_first[:size][::-1]
        has_more = len(newest_first) > size
        return Page(items, encode_cursor(UUID(int=items[0].position)) if has_more else None)

    async def _append(self, key: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
        if Transaction.of(self._core.pool) is None:
            return await self._core.shared(TurnAppends).append(self._core.db, key, values)
        return await append_one(self._core.db, key, values, attempt=self._savepoint())

    async def _read(
        self, session_id: object, user_id: object, before: int, limit: int | None
    ) -> tuple[ConversationSession, list[ConversationTurn]]:
        key = self._session_key(session_id, user_id)
        query = for_session("with_turns", key["user_id"])
        records = await self._core.db.fetch(query, **key, before=before, limit=limit)
        if not records:
            raise self._missing(key["session_id"])
        offset = len(ConversationSession._meta.fields_db_projection)
        session = self._row(records[0])
        return session, compact_hydrator(ConversationTurn, offset)(records[1:], session)

    async def _with_contents(
        self, session_id: object, user_id: object, limit: int | None
    ) -> ConversationSession:
        key = self._session_key(session_id, user_id)
        session = await session_with_contents(self._core, key, limit)
        if session is None:
            raise self._missing(key["session_id"])
        return session

    async def _not_active(self, key: Mapping[str, Any]) -> DigiTwinError:
        """Return the error for a session that is missing or has ended."""
        status = await self._core.db.fetchval(for_session("status", key["user_id"]), **key)
        session_id = key["session_id"]
        if status is None:
            return self._missing(session_id)
        return InvalidStateError("The session has ended", id=str(session_id), status=status)

    async def _not_amended(self, key: Mapping[str, Any], expected: int | None) -> DigiTwinError:
        version = await self._core.db.fetchval(for_session("turn_version", key["user_id"]), **key)
        turn_id = str(key["turn_id"])
        if version is None:
            return NotFoundError("turn not found", field="turn_id", id=turn_id)
        if expected in (None, version):
            return turns.heard_without_twin_text()
        return StaleVersionError(
            f"The turn has version {version}, not {expected}",
            id=turn_id,
            version=version,
            expected_version=expected,
        )

    def _turn(self, record: Sequence[Any]) -> ConversationTurn:
        return hydrate(ConversationTurn, record, self._core.origin)


def _position(cursor: str) -> int:
    position = decode_cursor(cursor, "before").int
    if position > MAX_INTEGER:
        raise InvalidInputError("before is not a cursor of this list", field="before")
    return position
