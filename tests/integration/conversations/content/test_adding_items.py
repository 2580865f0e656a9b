"""Items are appended in order, once each, and all or none."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import InvalidInputError, InvalidStateError, NotFoundError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, ConversationTurn, User
from digitwin.testing import DatabaseFactory

BEGUN = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_an_item_has_what_was_given(
    sessions: Sessions, session: ConversationSession, turn: ConversationTurn
) -> None:
    given: dict[str, Any] = {
        "kind": "tool_result",
        "item_id": "i-1",
        "call_id": "c-1",
        "name": "weather",
        "payload": "23 degrees",
        "is_error": True,
        "started_at": BEGUN,
        "ended_at": BEGUN + timedelta(seconds=2),
    }
    [item] = await sessions.add_items(session.id, [given], turn.id)  # type: ignore[list-item]
    assert {name: getattr(item, name) for name in given} == given
    assert (item.turn_id, item.number, item.user_id) == (turn.id, 1, session.user_id)
    [read] = (await sessions.items(turn.id)).items
    assert read.__dict__ == item.__dict__


@pytest.mark.parametrize("payload", [{"a": 1}, ["x", None], "text", 7, 1.5, False, [], ""])
async def test_a_payload_may_be_any_json_value(
    sessions: Sessions, session: ConversationSession, payload: Any
) -> None:
    [item] = await sessions.add_items(session.id, [{"kind": "custom", "payload": payload}])
    assert item.payload == payload


async def test_no_payload_is_an_empty_object(
    sessions: Sessions, session: ConversationSession
) -> None:
    items = await sessions.add_items(
        session.id, [{"kind": "handoff"}, {"kind": "custom", "payload": None}]
    )
    assert [item.payload for item in items] == [{}, {}]


async def test_a_call_and_its_result_share_a_call_id(
    sessions: Sessions, session: ConversationSession
) -> None:
    call, result = await sessions.add_items(
        session.id,
        [
            {"kind": "tool_call", "call_id": "c", "name": "weather", "payload": {"city": "Ulm"}},
            {"kind": "tool_result", "call_id": "c", "payload": ["rain"]},
        ],
    )
    assert call.call_id == result.call_id
    for kind in ("tool_call", "tool_result"):
        with pytest.raises(InvalidInputError, match=r"items\[0\]\.call_id"):
            await sessions.add_items(session.id, [{"kind": kind}])  # type: ignore[typeddict-item]


async def test_an_item_that_is_sent_again_is_stored_once(
    sessions: Sessions, session: ConversationSession
) -> None:
    first = await sessions.add_items(
        session.id, [{"kind": "message", "item_id": f"i-{n}", "payload": n} for n in range(2)]
    )
    again = await sessions.add_items(
        session.id, [{"kind": "message", "item_id": f"i-{n}", "payload": -n} for n in (1, 2, 0)]
    )
    assert (again[0], again[2]) == (first[1], first[0])
    stored = (await sessions.items(session_id=session.id)).items
    assert [item.item_id for item in stored] == ["i-0", "i-1", "i-2"]
    assert [item.payload for item in stored] == [0, 1, -2]


async def test_items_of_concurrent_callers_keep_their_order(
    crowd: Sessions, session: ConversationSession
) -> None:
    async def add(writer: int) -> None:
        for n in range(0, 10, 2):
            await crowd.add_items(
                session.id, [{"kind": "custom", "payload": [writer, n + k]} for k in range(2)]
            )

    await asyncio.gather(*(add(writer) for writer in range(10)))
    items = (await crowd.items(session_id=session.id, limit=1000)).items
    assert len(items) == 100
    assert len({item.number for item in items}) == 100
    for writer in range(10):
        assert [i.payload[1] for i in items if i.payload[0] == writer] == list(range(10))


async def test_concurrent_repeats_store_one_item(
    crowd: Sessions, session: ConversationSession
) -> None:
    found = await asyncio.gather(
        *(
            crowd.add_items(session.id, [{"kind": "message", "item_id": "i", "payload": n}])
            for n in range(30)
        )
    )
    assert len({(items[0].id, items[0].payload) for items in found}) == 1
    assert len((await crowd.items(session_id=session.id)).items) == 1


async def test_no_items_are_none(sessions: Sessions, session: ConversationSession) -> None:
    assert await sessions.add_items(session.id, []) == []


async def test_a_turn_of_another_session_takes_no_items(
    sessions: Sessions, session: ConversationSession, turn: ConversationTurn
) -> None:
    other = await sessions.start(session.user_id)
    for turn_id in (turn.id, uuid7()):
        with pytest.raises(NotFoundError) as error:
            await sessions.add_items(other.id, [{"kind": "message"}], turn_id)
        assert error.value.details["field"] == "turn_id"
    assert (await sessions.items(session_id=other.id)).items == []


async def test_a_missing_session_takes_no_items(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession, bob: User
) -> None:
    his = digitwin_db.for_user(bob.id).sessions
    for call in (
        sessions.add_items(uuid7(), [{"kind": "message"}]),
        his.add_items(session.id, [{"kind": "message"}]),
    ):
        with pytest.raises(NotFoundError):
            await call


async def test_an_ended_session_takes_items_within_its_grace(
    digitwin_url: str,
    digitwin_db_factory: DatabaseFactory,
    sessions: Sessions,
    session: ConversationSession,
) -> None:
    await sessions.end(session.id)
    [late] = await sessions.add_items(session.id, [{"kind": "message"}])
    assert late.number == 1
    strict = (await digitwin_db_factory(digitwin_url, late_turns=0)).sessions
    with pytest.raises(InvalidStateError):
        await strict.add_items(session.id, [{"kind": "message"}])


@pytest.mark.parametrize(
    ("item", "place"),
    [
        ({}, "kind"),
        ({"kind": "song"}, "kind"),
        ({"kind": "message", "id": 1}, "id"),
        ({"kind": "message", "payload": {1}}, "payload"),
        ({"kind": "message", "payload": float("nan")}, "payload"),
        ({"kind": "message", "payload": "x" * 1_048_576}, "payload"),
        ({"kind": "message", "payload": "a\0b"}, "payload"),
        ({"kind": "message", "item_id": ""}, "item_id"),
        ({"kind": "message", "item_id": "i" * 201}, "item_id"),
        ({"kind": "message", "is_error": "no"}, "is_error"),
        ({"kind": "message", "started_at": datetime(2026, 3, 1)}, "started_at"),  # noqa: DTZ001
        ({"kind": "message", "started_at": BEGUN, "ended_at": BEGUN - timedelta(1)}, "ended_at"),
    ],
)
async def test_an_item_that_does_not_fit_is_named(
    sessions: Sessions, session: ConversationSession, item: Any, place: str
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.add_items(session.id, [{"kind": "message"}, item])
    assert error.value.details["field"] == "items"
    assert f"items[1].{place}" in error.value.message
    assert (await sessions.items(session_id=session.id)).items == []


async def test_too_many_items_are_refused_with_the_limit(
    sessions: Sessions, session: ConversationSession
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.add_items(session.id, [{"kind": "message"}] * 1001)
    assert error.value.details == {"field": "items", "limit": 1000}


async def test_a_size_that_is_too_large_is_named(
    sessions: Sessions, session: ConversationSession
) -> None:
    with pytest.raises(InvalidInputError, match="1,048,576 bytes"):
        await sessions.add_items(session.id, [{"kind": "file", "payload": "x" * 1_048_576}])


async def test_items_join_a_transaction(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await sessions.add_items(session.id, [{"kind": "message"}])
            raise ZeroDivisionError
    assert (await sessions.items(session_id=session.id)).items == []
