"""The newest items are read turn by turn, from one snapshot."""

from __future__ import annotations

from typing import Any

import pytest

from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.errors import InvalidInputError, NotFoundError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession
from tests.integration.conversations.latest.history import item, names


async def test_a_turn_begins_with_items(sessions: Sessions, session: ConversationSession) -> None:
    turn = await sessions.open_turn(session.id, user_text="a", items=[item("a"), item("b")])
    assert [row.item_id for row in (await sessions.items(turn.id)).items] == ["a", "b"]


async def test_a_turn_that_is_opened_again_has_its_items_once(
    sessions: Sessions, session: ConversationSession
) -> None:
    id = uuid7()
    for _ in range(2):
        await sessions.open_turn(session.id, id=id, items=[item("a")])
    assert await names(sessions, session) == ["a"]


async def test_turns_are_not_mixed(sessions: Sessions, session: ConversationSession) -> None:
    first = await sessions.open_turn(session.id, items=[item("a1")])
    second = await sessions.open_turn(session.id, items=[item("b1")])
    await sessions.extend_turn(first.id, session_id=session.id, items=[item("a2")])
    await sessions.extend_turn(second.id, session_id=session.id, items=[item("b2")])
    assert await names(sessions, session) == ["a1", "a2", "b1", "b2"]
    assert await names(sessions, session, limit=3) == ["a2", "b1", "b2"]


async def test_own_turns_come_last(sessions: Sessions, session: ConversationSession) -> None:
    own = await sessions.open_turn(session.id, items=[item("a1"), item("a2")])
    await sessions.open_turn(session.id, items=[item("b1")])
    mine: dict[str, Any] = {"own_turns": [own.id, uuid7()]}
    assert await names(sessions, session, **mine) == ["b1", "a1", "a2"]
    assert await names(sessions, session, **mine, limit=1) == ["a2"]


async def test_only_items_with_a_prefix(sessions: Sessions, session: ConversationSession) -> None:
    await sessions.open_turn(
        session.id, items=[item("x:1"), item("y:%"), {"kind": "custom"}, item("x:2")]
    )
    assert await names(sessions, session, prefix="x:") == ["x:1", "x:2"]
    assert await names(sessions, session, prefix="%") == []


async def test_items_in_no_turn_are_left_out(
    sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.add_items(session.id, [item("a")])
    assert await names(sessions, session) == []
    assert await sessions.pop_item(session.id) is None


async def test_no_session(sessions: Sessions, session: ConversationSession) -> None:
    await sessions.delete(session.id)
    for method in (sessions.latest_items, sessions.pop_item):
        with pytest.raises(NotFoundError):
            await method(session.id)


@pytest.mark.parametrize(
    ("field", "value"),
    [("limit", 0), ("prefix", "x" * 201), ("own_turns", ["x"]), ("own_turns", [uuid7()] * 1001)],
)
async def test_the_invalid_argument_is_named(
    sessions: Sessions, session: ConversationSession, field: str, value: Any
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await sessions.latest_items(session.id, **{field: value})
    assert caught.value.details["field"] == field
