"""Items that are stored by themselves: of a session, or of a turn that exists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from digitwin.conversations.content.fields import NewItem
from digitwin.conversations.content.new_items import new_items
from digitwin.conversations.content.queries import for_session
from digitwin.conversations.content.sources import SessionSources
from digitwin.conversations.contents import TurnItem
from digitwin.conversations.living.writes import ItemWrite
from digitwin.conversations.living.writing import write
from digitwin.errors import NotFoundError
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.orm.hydration import hydrate
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.validation import Id


class AddingItems(SessionSources):
    """The method of the session repository that adds items."""

    @operation
    async def add_items(
        self,
        session_id: Id,
        items: Sequence[NewItem],
        turn_id: Id | None = None,
        *,
        user_id: Id | None = None,
    ) -> list[TurnItem]:
        """Append items, all or none, in the given order; safe from several tasks.

        An item whose ``item_id`` the session has already is not stored again, and returned as it
        is, so that a call can be repeated.

        Args:
            items: up to 1,000, see :class:`NewItem`.
            turn_id: the turn they belong to; None for what is in no turn, such as a handoff.
            user_id: the session's owner; saves a lookup.

        Returns:
            The stored items, in the given order.

        Raises:
            InvalidInputError: names ``items``; the message names the item and the field.
            NotFoundError: the session does not exist, or not for this owner, or has no such
                turn; names the field.
            InvalidStateError: the session has ended, more than ``late_turns`` seconds ago.
        """
        turn = None if turn_id is None else parse_id(turn_id, "turn_id")
        key = self._session_key(session_id, user_id)
        writes = [ItemWrite(turn_id=turn, **item) for item in new_items(items)]
        if not writes:
            return []
        turns = await write(self._core.db, key, items=writes, attempt=self._savepoint())
        if turn is not None and not turns:
            raise NotFoundError("turn not found", field="turn_id", id=str(turn))
        return await self._stored(key, writes)

    async def _stored(self, key: dict[str, Any], writes: Sequence[ItemWrite]) -> list[TurnItem]:
        records = await self._core.db.fetch(
            for_session("stored_items", key["user_id"]),
            **key,
            ids=[item.id for item in writes],
            item_ids=[item.item_id for item in writes if item.item_id is not None],
        )
        rows = [hydrate(TurnItem, record, self._core.origin) for record in records]
        found: dict[Any, TurnItem] = {row.item_id or row.id: row for row in rows}
        return [found[item.item_id or item.id] for item in writes]
