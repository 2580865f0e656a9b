"""Turns as they live: opened at the first word, extended as words come, and closed.

Each call is one statement that changes the turn's own row, so that several tasks may extend a turn
at once. Several turns of a session may be open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from typing_extensions import Unpack

from digitwin.conversations.content.fields import SOURCES, NewItem, NewSource
from digitwin.conversations.content.new_items import MAX_ITEMS, new_items
from digitwin.conversations.fields import MAX_TEXT
from digitwin.conversations.living.fields import (
    CLOSING,
    EXTENSION,
    OPENED,
    STATUS,
    ClosedStatus,
    OpenedTurn,
    TurnClosing,
    TurnExtension,
)
from digitwin.conversations.living.writes import ItemWrite, SourceWrite, TurnWrite
from digitwin.conversations.living.writing import for_key, write
from digitwin.conversations.models import ConversationTurn
from digitwin.conversations.turn_log import TurnLog
from digitwin.conversations.turns import columns_of, heard_without_twin_text
from digitwin.errors import DigiTwinError, InvalidInputError, InvalidStateError, NotFoundError
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.primitives.ids import parse_id, uuid7
from digitwin.kernel.primitives.iterables import listed
from digitwin.kernel.primitives.validation import Id, validate


class LivingTurns(TurnLog):
    """The methods of the session repository with which a turn lives.

    ``user_id`` is the session's owner in all of them; a caller who knows it saves a lookup.
    """

    @operation
    async def open_turn(
        self,
        session_id: Id,
        *,
        user_id: Id | None = None,
        id: Id | None = None,
        items: Sequence[NewItem] = (),
        **turn: Unpack[OpenedTurn],
    ) -> ConversationTurn:
        """Begin a turn; atomic, one round trip, positions without gaps.

        Idempotent with an ``id`` or an ``idempotency_key``: a repeated call opens nothing and
        returns the turn as it is by then; items with an ``item_id`` are stored once.
        :meth:`extend_turn` and :meth:`close_turn` go on with it. What nobody closes, as after a
        crash, ``maintain()`` closes as abandoned.

        Args:
            id: a UUID made by the caller.
            items: what it begins with, up to 1,000, see :class:`NewItem`.
            **turn: see :class:`OpenedTurn`; a turn may begin without a text.

        Returns:
            The turn, ``open``, with its ``position``.

        Raises:
            InvalidInputError: names the invalid field.
            NotFoundError: the session does not exist, or not for this owner; or names
                ``participant_id``: an open transaction stays usable.
            InvalidStateError: the session has ended, and its grace is over (``late_turns``).
            AlreadyExistsError: the id belongs to another session's turn.
        """
        given = validate(OPENED, turn)
        if given.get("heard_text") is not None and not given.get("twin_text"):
            raise heard_without_twin_text()
        turn_id = uuid7() if id is None else parse_id(id)
        key = self._session_key(session_id, user_id)
        is_named = id is not None or given.get("idempotency_key") is not None
        records = await write(
            self._core.db,
            key,
            turns=[_turn_write(turn_id, given, opens=True)],
            items=_item_writes(items, turn_id),
            once=is_named,
            attempt=self._savepoint() if is_named or given.get("participant_id") else None,
        )
        return self._turn(records[0])

    @operation
    async def extend_turn(
        self,
        turn_id: Id,
        *,
        session_id: Id,
        user_id: Id | None = None,
        items: Sequence[NewItem] = (),
        sources: Sequence[NewSource] = (),
        **turn: Unpack[TurnExtension],
    ) -> ConversationTurn:
        """Add to a turn, whatever its status; atomic, one round trip, safe from several tasks.

        Texts are appended in the order in which the calls arrive. Without arguments it is a sign
        of life. A call that is sent again after ``OutcomeUnknownError`` may append twice; items
        with an ``item_id`` are stored once.

        Args:
            items: up to 1,000, see :class:`NewItem`; they are numbered in their order.
            sources: up to 1,000, see :class:`NewSource`.
            **turn: see :class:`TurnExtension`.

        Returns:
            The turn as it is now.

        Raises:
            InvalidInputError: names the invalid field, or the text that would be too long.
            NotFoundError: the turn does not exist in this session, or not for this owner; or
                names ``participant_id`` or ``document_id``: an open transaction stays usable.
            InvalidStateError: the session has ended, and its grace is over (``late_turns``).
        """
        given = validate(EXTENSION, turn)
        return await self._extend(turn_id, session_id, user_id, given, items, sources)

    @operation
    async def close_turn(
        self,
        turn_id: Id,
        *,
        session_id: Id,
        user_id: Id | None = None,
        status: ClosedStatus = "completed",
        items: Sequence[NewItem] = (),
        sources: Sequence[NewSource] = (),
        **turn: Unpack[TurnClosing],
    ) -> ConversationTurn:
        """End a turn, adding what was still to come; atomic, one round trip.

        A turn that is closed already may be closed again with the same status; an abandoned one
        with any, since it may have lived on. It ends at the database clock's time unless
        ``ended_at`` is given, and never before it began.

        Args:
            status: completed, interrupted or abandoned.
            items: as for :meth:`extend_turn`, and so are ``sources``.
            **turn: see :class:`TurnClosing`.

        Returns:
            The turn as it is now.

        Raises:
            As :meth:`extend_turn`.
            InvalidStateError: it is also raised if the turn is closed with another status;
                :meth:`amend_turn` changes that.
        """
        given, status = validate(CLOSING, turn), validate(STATUS, status, "status")
        return await self._extend(
            turn_id, session_id, user_id, given, items, sources, status=status
        )

    async def _extend(
        self,
        turn_id: object,
        session_id: object,
        user_id: object,
        given: Mapping[str, Any],
        items: object,
        sources: object,
        status: ClosedStatus | None = None,
    ) -> ConversationTurn:
        id = parse_id(turn_id, "turn_id")
        change = _turn_write(id, given, status=status, strict=True)
        key = self._session_key(session_id, user_id)
        sources_given = _source_writes(sources, id)
        refers = change.participant_id or sources_given
        records = await write(
            self._core.db,
            key,
            turns=[change],
            items=_item_writes(items, id),
            sources=sources_given,
            attempt=self._savepoint() if refers else None,
        )
        if not records:
            raise await self._not_extended(key, change)
        return self._turn(records[0])

    async def _not_extended(self, key: Mapping[str, Any], change: TurnWrite) -> DigiTwinError:
        """Return why a turn refused a change; ``write`` has told of the session by then."""
        turn = await self._core.db.fetchrow(
            for_key("turn_standing", key), **key, turn_id=change.turn_id
        )
        about = {"id": str(change.turn_id)}
        if turn is None:
            return NotFoundError("turn not found", field="turn_id", **about)
        if change.status not in (None, turn["status"]) and turn["status"] in _CLOSED:
            return InvalidStateError(
                f"The turn is {turn['status']}: amend_turn(…, interrupted=…) changes that",
                status=turn["status"],
                **about,
            )
        if change.heard_text is not None and not (change.twin_text or turn["twin_length"]):
            return heard_without_twin_text()
        added = len(change.user_text or "") + turn["user_length"]
        field = "user_text" if added > MAX_TEXT else "twin_text"
        return InvalidInputError(
            f"{field} would have more than {MAX_TEXT} characters", field=field, limit=MAX_TEXT
        )


_CLOSED = ("completed", "interrupted")


def _turn_write(id: UUID, given: Mapping[str, Any], **more: Any) -> TurnWrite:
    timings, usage = given.get("timings"), given.get("usage")
    columns, extra = columns_of(timings, usage)
    rest = {name: value for name, value in given.items() if name not in ("timings", "usage")}
    return TurnWrite(turn_id=id, **rest, **more, timings=columns, extra=extra)


def _item_writes(given: object, turn_id: UUID | None) -> list[ItemWrite]:
    return [ItemWrite(turn_id=turn_id, **item) for item in new_items(given)]


def _source_writes(given: object, turn_id: UUID) -> list[SourceWrite]:
    sources = validate(
        SOURCES, listed(given, "sources", at_most=MAX_ITEMS, of="sources"), "sources"
    )
    return [SourceWrite(turn_id=turn_id, **source) for source in sources]  # type: ignore[arg-type]
