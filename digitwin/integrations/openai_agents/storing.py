"""Stores exchanges as turns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from typing import Any, Final
from uuid import UUID

from digitwin.conversations.content.fields import NewItem
from digitwin.conversations.content.new_items import MAX_ITEMS
from digitwin.conversations.fields import MAX_TEXT
from digitwin.database import Database
from digitwin.errors import NotFoundError
from digitwin.handle.scopes import ServiceScope, UserScope
from digitwin.integrations.openai_agents.items import Exchange, joined
from digitwin.integrations.openai_agents.runs import Run, Turn

Handle = Database | UserScope | ServiceScope

MOST_CALLS: Final = 1000
"""Calls of tools among which that of a result is looked for."""


class TurnStore:
    """Stores what runs tell of one session.

    Args:
        db: the handle, or a scope of it.
        owner: whose session it is.
    """

    def __init__(self, db: Handle, owner: UUID) -> None:
        self._db = db
        self._owner = owner

    async def store(self, session_id: UUID, run: Run, parts: Sequence[Exchange]) -> list[Turn]:
        """Store exchanges, all or none; the first goes on with the run's turn if it begins none.

        Returns:
            The turns, as they are now.

        Raises:
            NotFoundError: names ``turn_id`` if the run's turn is gone, else the session.
            InvalidStateError: the session has ended, or the run's turn is closed differently.
        """
        key = {"session_id": session_id, "user_id": self._owner}
        turn = None if parts[0].begins else await self._turn(key, run, parts[0].call_ids)
        is_one = len(parts) == 1 and len(parts[0].items) <= MAX_ITEMS
        is_one = is_one and (turn is not None or not parts[0].answers)
        async with nullcontext() if is_one else self._db.transaction():
            return [
                await self._exchange(key, turn if n == 0 else None, part)
                for n, part in enumerate(parts)
            ]

    async def _exchange(self, key: dict[str, Any], turn: Turn | None, part: Exchange) -> Turn:
        batches = _batches(part.items)
        last = batches.pop()
        said: dict[str, Any] = {
            "user_text": joined(turn.user_length if turn else 0, part.user_texts, MAX_TEXT),
            "twin_text": joined(turn.twin_length if turn else 0, part.twin_texts, MAX_TEXT),
        }
        sessions = self._db.sessions
        if turn is None:
            first = batches.pop(0) if batches else last
            stored = await sessions.open_turn(**key, **said, items=first)
            last, said = ([], {}) if first is last else (last, {})
            turn = Turn.of(stored)
        for items in batches:
            await sessions.extend_turn(turn.id, **key, **said, items=items)
            said = {}
        if part.answers:
            stored = await sessions.close_turn(turn.id, **key, **said, items=last)
        elif last:
            stored = await sessions.extend_turn(turn.id, **key, **said, items=last)
        return Turn.of(stored)

    async def _turn(self, key: dict[str, Any], run: Run, call_ids: Collection[str]) -> Turn | None:
        """Return the turn that a run goes on with; None: a new one.

        A run that was interrupted, and resumed elsewhere, goes on where its tool was called.
        """
        if run.turn is not None:
            return run.turn
        known = run.own[-1] if run.own else await self._turn_of_call(key, call_ids)
        if known is None:
            return None
        try:
            return Turn.of(await self._db.sessions.extend_turn(known, **key))
        except NotFoundError as error:
            if error.details.get("field") != "turn_id":
                raise
            return None

    async def _turn_of_call(self, key: dict[str, Any], call_ids: Collection[str]) -> UUID | None:
        if not call_ids:
            return None
        page = await self._db.sessions.items(
            **key, kinds=["tool_call"], newest_first=True, limit=MOST_CALLS
        )
        return next((call.turn_id for call in page.items if call.call_id in call_ids), None)


def _batches(items: list[NewItem]) -> list[list[NewItem]]:
    return [items[at : at + MAX_ITEMS] for at in range(0, len(items), MAX_ITEMS)]
