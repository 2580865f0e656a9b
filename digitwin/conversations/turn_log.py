"""The turns of a session: appended without a gap, amended, and read back in order.

A turn's place comes from its session's counter, raised in the statement that stores the turn:
the counter's row lock puts simultaneous writers in a row, and a statement that fails gives its
place back. Every method takes the owner's ``user_id`` where it is known, which saves the
look-up; under ``for_user`` it is known by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any
from uuid import UUID

from typing_extensions import Unpack

from digitwin.conversations import turns
from digitwin.conversations.fields import TURN, TURN_CHANGES, TURNS, NewTurn, TurnChanges
from digitwin.conversations.models import ConversationSession, ConversationTurn
from digitwin.conversations.statements import statement
from digitwin.errors import (
    AlreadyExistsError,
    DigiTwinError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    StaleVersionError,
)
from digitwin.kernel.connection.transactions import Transaction
from digitwin.kernel.execution.core import operation
from digitwin.kernel.orm.hydration import fill, hydrate, hydrator
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.validation import bounded, validate
from digitwin.kernel.repository.entities import MAX_ROWS, EntityRepository
from digitwin.kernel.repository.paging import Page, decode_cursor, encode_cursor

Id = UUID | str
LAST = 2**31 - 1
"""Beyond any position."""


class TurnLog(EntityRepository[ConversationSession]):
    """The half of the session repository that is about turns."""

    @operation
    async def add_turn(
        self, session_id: Id, *, user_id: Id | None = None, **turn: Unpack[NewTurn]
    ) -> ConversationTurn:
        """Append an exchange; atomic, one round trip, positions without a gap.

        Args:
            **turn: see :class:`NewTurn`; times in whole milliseconds, texts up to 100,000
                characters.

        A turn sent again with its ``idempotency_key`` is stored once and gives back the first,
        whatever the repeat says, at the same moment or later, after the session's end too.

        Raises:
            InvalidInputError: no text at all, or names the field that does not fit.
            NotFoundError: there is no such session for this caller.
            InvalidStateError: the session has ended.
        """
        values = turns.row(validate(TURN, turn))
        target = self._target(session_id, user_id)
        record = await self._append(target, values)
        if record is None:
            raise await self._refusal(target)
        return self._turn(record)

    @operation
    async def add_turns(
        self, session_id: Id, new_turns: Sequence[NewTurn], *, user_id: Id | None = None
    ) -> list[ConversationTurn]:
        """Append exchanges in the order given, side by side, all or none; one round trip.

        Meant for imports: up to 10,000 at once. An ``idempotency_key`` that is stored already
        refuses them all.

        Raises:
            InvalidInputError: ``new_turns``; its message names the turn and what does not fit.
            NotFoundError: there is no such session for this caller.
            InvalidStateError: the session has ended.
            AlreadyExistsError: an ``idempotency_key`` is taken.
        """
        several = list(new_turns) if isinstance(new_turns, Iterable) else new_turns
        given = validate(TURNS, several, "new_turns")
        bounded(len(given), "new_turns", at_least=0, at_most=MAX_ROWS)
        if not given:
            return []
        target = self._target(session_id, user_id)
        records = await self._core.db.fetch(
            _sql("add_turns", target), *target, *turns.columns_of(given, "new_turns")
        )
        if not records:
            raise await self._refusal(target)
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
        """Fill in or correct a turn, in an ended session too; atomic.

        What is left out stays, stage by stage; ``interrupted=False`` makes the turn completed.

        Raises:
            InvalidInputError: nothing to change, or names the field that does not fit.
            NotFoundError: there is no such turn in this session for this caller.
            StaleVersionError: the turn no longer has ``expected_version``.
        """
        given = validate(TURN_CHANGES, changes)
        if turns.nothing_given(given):
            raise InvalidInputError("nothing to change was given", field="changes")
        if expected_version is not None:
            bounded(expected_version, "expected_version", at_least=1, at_most=LAST)
        target = (*self._target(session_id, user_id), parse_id(turn_id, "turn_id"))
        record = await self._core.db.fetchrow(
            _sql("amend_turn", target), *target, *turns.written(given), expected_version
        )
        if record is None:
            raise await self._not_amended(target, expected_version)
        return self._turn(record)

    @operation
    async def with_turns(
        self, session_id: Id, *, user_id: Id | None = None, limit: int | None = None
    ) -> ConversationSession:
        """The session with its ``turns`` loaded, oldest first, all as of one moment.

        Args:
            limit: only the newest so many.

        Raises:
            NotFoundError: there is no such session for this caller.
            InvalidInputError: a limit below 1.
        """
        if limit is not None:
            bounded(limit, "limit", at_least=1, at_most=LAST)
        session, newest_first = await self._read(session_id, user_id, LAST, limit)
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
        """A page of turns, oldest first; the first page ends with the newest turn.

        Args:
            limit: how many, 1 to 1,000.
            before: the ``next_cursor`` of a page: the turns just older than that page.

        Raises:
            NotFoundError: there is no such session for this caller.
            InvalidInputError: a limit or cursor that does not fit.
        """
        size = bounded(limit, "limit", at_least=1, at_most=1000)
        end = LAST if before is None else _position(before)
        _, newest_first = await self._read(session_id, user_id, end, size + 1)
        items = newest_first[:size][::-1]
        older = len(newest_first) > size
        return Page(items, encode_cursor(UUID(int=items[0].position)) if older else None)

    async def _append(self, target: tuple[Any, ...], values: list[Any]) -> Any:
        db, sql = self._core.db, _sql("add_turn", target)
        if values[-1] is None:
            return await db.fetchrow(sql, *target, *values)
        record = None
        try:
            async with self._undoable():
                record = await db.fetchrow(sql, *target, *values)
        except AlreadyExistsError as error:
            if error.details.get("field") != "idempotency_key":
                raise
        # While this one waited for the session's row with an older view of the turns, the first
        # one may have committed, the session's end behind it: a new statement sees both.
        return record or await db.fetchrow(sql, *target, *values)

    def _undoable(self) -> AbstractAsyncContextManager[None]:
        """Keeps a failed statement from failing the transaction around it, if there is one."""
        inside = Transaction.of(self._core.pool) is not None
        return self._core.transaction() if inside else nullcontext()

    async def _read(
        self, session_id: object, user_id: object, before: int, limit: int | None
    ) -> tuple[ConversationSession, list[ConversationTurn]]:
        target = self._target(session_id, user_id)
        records = await self._core.db.fetch(_sql("with_turns", target), *target, before, limit)
        if not records:
            raise self._missing(target[1])
        places = len(ConversationSession._meta.fields_db_projection)
        turn, origin = hydrator(ConversationTurn, places), self._core.client.origin
        return self._row(records[0]), [turn(record, origin) for record in records[1:]]

    async def _refusal(self, target: tuple[Any, ...]) -> DigiTwinError:
        """Why a session took no turn, or did not end."""
        status = await self._core.db.fetchval(_sql("status", target), *target)
        if status is None:
            return self._missing(target[1])
        return InvalidStateError("The session has ended", id=str(target[1]), status=status)

    async def _not_amended(self, target: tuple[Any, ...], expected: int | None) -> DigiTwinError:
        version = await self._core.db.fetchval(_sql("turn_version", target), *target)
        if version is None:
            return NotFoundError("turn not found", field="turn_id", id=str(target[2]))
        if expected in (None, version):
            return turns.unsaid()
        return StaleVersionError(
            f"The turn has version {version}, not {expected}",
            id=str(target[2]),
            version=version,
            expected_version=expected,
        )

    def _target(self, session_id: object, user_id: object) -> tuple[UUID | None, UUID]:
        return self._owner(user_id), parse_id(session_id, "session_id")

    def _turn(self, record: Sequence[Any]) -> ConversationTurn:
        return hydrate(ConversationTurn, record, self._core.client)


def _sql(name: str, target: tuple[Any, ...]) -> str:
    return statement(name, owner_known=target[0] is not None)


def _position(cursor: str) -> int:
    position = decode_cursor(cursor, "before").int
    if position > LAST:
        raise InvalidInputError("before is not a cursor of this list", field="before")
    return position
