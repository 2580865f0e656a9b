"""The items of a session or a turn, read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from digitwin.conversations.content.fields import ITEM_KINDS, ItemKind
from digitwin.conversations.content.queries import for_session
from digitwin.conversations.contents import TurnItem
from digitwin.conversations.session_methods import SessionMethods
from digitwin.errors import InvalidInputError, NotFoundError
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.orm.hydration import hydrate
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.iterables import listed
from digitwin.kernel.primitives.validation import Id, bounded, validate
from digitwin.kernel.repository.paging import Page, decode_cursor, encode_cursor

MAX_NUMBER = 2**31 - 1


class SessionItems(SessionMethods):
    """The methods of the session repository that concern items."""

    @operation
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
    ) -> Page[TurnItem]:
        """Return a page of the items of a turn, or of a session, in order.

        Args:
            turn_id: the turn; None for all items of the session, in a turn or not.
            session_id: the session; may be left out with a turn.
            user_id: the owner; saves a lookup.
            kinds: only items of these kinds.
            newest_first: begin with the newest.
            limit: items per page, 1 to 1,000.
            after: the ``next_cursor`` of the previous page, in the same order.

        Raises:
            InvalidInputError: neither a turn nor a session is given, or names the invalid
                argument.
            NotFoundError: turn or session do not exist, or not for this owner; names the field.
        """
        size = bounded(limit, "limit", at_least=1, at_most=1000)
        key = self._content_key(turn_id, session_id, user_id)
        chosen = None if kinds is None else listed(kinds, "kinds", at_most=20, of="kinds")
        records = await self._core.db.fetch(
            for_session(
                "items_of_session" if key["turn_id"] is None else "items_of_turn",
                key["user_id"],
                beyond="<" if newest_first else ">",
                direction="DESC" if newest_first else "ASC",
            ),
            **key,
            kinds=None if chosen is None else validate(ITEM_KINDS, chosen, "kinds"),
            after=_start(after, newest_first=newest_first),
            limit=size + 1,
        )
        rows = [hydrate(TurnItem, r, self._core.origin) for r in self._found(records, key)]
        more, rows = len(rows) > size, rows[:size]
        return Page(rows, encode_cursor(UUID(int=rows[-1].number)) if more else None)

    def _content_key(self, turn_id: object, session_id: object, user_id: object) -> dict[str, Any]:
        """Return the parameters that name a turn or a session.

        Raises:
            InvalidInputError: neither is given.
        """
        if turn_id is None and session_id is None:
            raise InvalidInputError("turn_id or session_id is required", field="session_id")
        return {
            "user_id": self._owner(user_id),
            "turn_id": None if turn_id is None else parse_id(turn_id, "turn_id"),
            "session_id": None if session_id is None else parse_id(session_id, "session_id"),
        }

    def _found(self, records: Sequence[Any], key: dict[str, Any]) -> Sequence[Any]:
        """Return the rows of what was asked for: no record means that it does not exist.

        Raises:
            NotFoundError: names turn or session.
        """
        if not records:
            if key["turn_id"] is None:
                raise self._missing(key["session_id"])
            raise NotFoundError("turn not found", field="turn_id", id=str(key["turn_id"]))
        return [] if records[0][0] is None else records


def _start(cursor: str | None, *, newest_first: bool) -> int:
    """Return the number after which a page begins.

    Raises:
        InvalidInputError: it is no cursor of this list.
    """
    if cursor is None:
        return MAX_NUMBER if newest_first else 0
    number = decode_cursor(cursor).int
    if number > MAX_NUMBER:
        raise InvalidInputError("after is not a cursor of this list", field="after")
    return number
