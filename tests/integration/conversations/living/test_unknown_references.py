"""What a turn refers to and does not exist is named, and the caller's transaction goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import InvalidInputError, NotFoundError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationTurn

Way = Callable[[Sessions, ConversationTurn, Any], Awaitable[Any]]

WAYS: dict[str, Way] = {
    "add": lambda s, t, given: s.add_turn(t.session_id, user_text="x", **given),
    "add several": lambda s, t, given: s.add_turns(t.session_id, [given | {"user_text": "x"}]),
    "open": lambda s, t, given: s.open_turn(t.session_id, **given),
    "open once": lambda s, t, given: s.open_turn(t.session_id, id=uuid7(), **given),
    "extend": lambda s, t, given: s.extend_turn(t.id, session_id=t.session_id, **given),
    "close": lambda s, t, given: s.close_turn(t.id, session_id=t.session_id, **given),
    "amend": lambda s, t, given: s.amend_turn(t.id, session_id=t.session_id, **given),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_an_unknown_participant_leaves_the_transaction_usable(
    digitwin_db: Database, turn: ConversationTurn, way: Way
) -> None:
    await _refused(digitwin_db, turn, way, {"participant_id": uuid7()}, "participant_id")


@pytest.mark.parametrize("name", ["extend", "close"])
async def test_so_does_an_unknown_document(
    digitwin_db: Database, turn: ConversationTurn, name: str
) -> None:
    sources = {"sources": [{"document_id": uuid7()}]}
    await _refused(digitwin_db, turn, WAYS[name], sources, "document_id")


async def test_so_does_a_start_after_the_stored_end(digitwin_db: Database, turn: Any) -> None:
    sessions, place = digitwin_db.sessions, {"session_id": turn.session_id}
    closed: Any = await sessions.close_turn(turn.id, **place)
    async with digitwin_db.transaction():
        with pytest.raises(InvalidInputError, match="ended_at"):
            await sessions.amend_turn(
                turn.id, **place, started_at=closed.ended_at + timedelta(hours=1)
            )
        await sessions.add_turn(turn.session_id, user_text="goes on")
    assert len((await sessions.with_turns(turn.session_id)).turns) == 2


async def _refused(
    db: Database, turn: ConversationTurn, way: Way, given: dict[str, Any], field: str
) -> None:
    async with db.transaction():
        with pytest.raises(NotFoundError) as error:
            await way(db.sessions, turn, given)
        assert error.value.details["field"] == field
        await db.sessions.add_turn(turn.session_id, user_text="goes on")
    loaded = await db.sessions.with_turns(turn.session_id)
    assert [one.user_text for one in loaded.turns] == [None, "goes on"]
    assert loaded.turns[0].status == "open"
