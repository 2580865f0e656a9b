"""The newest items of a session, turn by turn, and the last one taken back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from asyncpg import Record
from pydantic import TypeAdapter

from digitwin.conversations.contents import TurnItem
from digitwin.conversations.latest.queries import query
from digitwin.conversations.session_methods import SessionMethods
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.orm.hydration import hydrate
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.iterables import listed
from digitwin.kernel.primitives.validation import DEFERRED, Id, bounded, text, validate

MAX_OWN_TURNS: Final = 1000
"""Turns that a caller may name as its own."""
MAX_LIMIT: Final = 2**31 - 1
_PREFIX: TypeAdapter[str] = TypeAdapter(Annotated[str, text(200)], config=DEFERRED)


class LatestItems(SessionMethods):
    """The methods of the session repository for a history that grows and shrinks at its end.

    Both go turn by turn, not by the time at which an item came: what several callers write to a
    session at once does not mix. Items that belong to no turn are left out.
    """

    @operation
    async def latest_items(
        self,
        session_id: Id,
        *,
        user_id: Id | None = None,
        prefix: str = "",
        own_turns: Sequence[Id] = (),
        limit: int | None = None,
    ) -> list[TurnItem]:
        """Return the newest items in turns, oldest first, from one snapshot.

        Args:
            user_id: the session's owner; saves a lookup.
            prefix: only items whose ``item_id`` begins with it, up to 200 characters.
            own_turns: turns that come last, wherever they are: up to 1,000, such as those that
                the caller is writing.
            limit: the newest items, 1 or more; all if unset.

        Raises:
            InvalidInputError: names the invalid argument.
            NotFoundError: the session does not exist, or not for this owner.
        """
        key = self._latest_key(session_id, user_id, prefix, own_turns)
        if limit is not None:
            limit = bounded(limit, "limit", at_least=1, at_most=MAX_LIMIT)
        records = await self._core.db.fetch(_query("latest_items", key), **key, limit=limit)
        if not records:
            raise self._missing(key["session_id"])
        return [self._item(record) for record in records if record["id"] is not None][::-1]

    @operation
    async def pop_item(
        self,
        session_id: Id,
        *,
        user_id: Id | None = None,
        prefix: str = "",
        own_turns: Sequence[Id] = (),
    ) -> TurnItem | None:
        """Remove the last of :meth:`latest_items` for good, and return it; atomic.

        One statement; two, in a transaction, where another writer of the session came first. Of
        concurrent calls each gets another item. What a message said is taken back from the text of
        its turn, if that ends with it: a message's payload is one, with ``role`` and ``content``,
        or has it in ``openai``. An answer that is taken back leaves its turn open. A turn with
        nothing left is removed if it is the last one, else it stays, abandoned.

        Args:
            As :meth:`latest_items`.

        Returns:
            The item as it was; None if there is none.

        Raises:
            InvalidInputError: names the invalid argument.
            NotFoundError: the session does not exist, or not for this owner.
        """
        key = self._latest_key(session_id, user_id, prefix, own_turns)
        record = await self._core.db.fetchrow(_query("pop_item", key), **key)
        if record is not None and record["again"]:
            async with self._core.transaction():
                await self._core.db.fetchval(_query("hold_session", key), **key)
                record = await self._core.db.fetchrow(_query("pop_item", key), **key)
        if record is None:
            raise self._missing(key["session_id"])
        return None if record["id"] is None else self._item(record)

    def _latest_key(
        self, session_id: object, user_id: object, prefix: object, own_turns: object
    ) -> dict[str, Any]:
        own = listed(own_turns, "own_turns", at_most=MAX_OWN_TURNS, of="ids")
        return {
            "user_id": self._owner(user_id),
            "session_id": parse_id(session_id, "session_id"),
            "prefix": validate(_PREFIX, prefix, "prefix"),
            "turn_ids": [parse_id(id, "own_turns") for id in own],
        }

    def _item(self, record: Record) -> TurnItem:
        return hydrate(TurnItem, record, self._core.origin)


def _query(name: str, key: dict[str, Any]) -> Any:
    return query(name, known_owner=key["user_id"] is not None, has_own=bool(key["turn_ids"]))
