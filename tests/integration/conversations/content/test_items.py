"""Items are read in order, in pages, of a turn or a session, and loaded with the turns."""

from __future__ import annotations

from typing import Any

import pytest

from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import InvalidInputError, InvalidStateError, NotFoundError
from digitwin.kernel.connection.transactions import Transaction
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, ConversationTurn, KnowledgeDocument, TurnItem, User
from tests.integration.conversations.content.conftest import Put

PAYLOADS: list[Any] = [{"a": [1, None]}, ["x"], "23 degrees", 7, 1.5, True]


def numbers(items: list[TurnItem]) -> list[int]:
    return [item.number for item in items]


async def test_items_of_a_session_are_in_order_and_of_any_turn(
    sessions: Sessions, session: ConversationSession, turn: ConversationTurn, put_item: Put
) -> None:
    ids = [await put_item("custom", p, turn if n % 2 else None) for n, p in enumerate(PAYLOADS)]
    page = await sessions.items(session_id=session.id)
    assert [item.id for item in page.items] == ids
    assert [item.payload for item in page.items] == PAYLOADS
    assert [item.turn_id for item in page.items] == [None, turn.id] * 3
    assert page.next_cursor is None


async def test_items_of_a_turn_are_its_own(
    sessions: Sessions, session: ConversationSession, turn: ConversationTurn, put_item: Put
) -> None:
    other = await sessions.add_turn(session.id, user_text="And?")
    for owner in (turn, other, None, turn):
        await put_item("message", None, owner)
    for key in ({}, {"session_id": session.id}, {"user_id": session.user_id}):
        assert numbers((await sessions.items(turn.id, **key)).items) == [1, 4]


@pytest.mark.parametrize("newest_first", [False, True])
async def test_pages_follow_each_other_without_gap(
    sessions: Sessions,
    session: ConversationSession,
    turn: ConversationTurn,
    put_item: Put,
    newest_first: bool,
) -> None:
    for _ in range(7):
        await put_item("message", None, turn)
    for asked in ({"turn_id": turn.id}, {"session_id": session.id}):
        found: list[int] = []
        after: str | None = None
        while True:
            page = await sessions.items(**asked, limit=3, after=after, newest_first=newest_first)
            found += numbers(page.items)
            after = page.next_cursor
            if after is None:
                break
        assert found == sorted(range(1, 8), reverse=newest_first)


async def test_a_page_that_is_full_and_the_last_has_no_next(
    sessions: Sessions, session: ConversationSession, put_item: Put
) -> None:
    for _ in range(2):
        await put_item()
    assert (await sessions.items(session_id=session.id, limit=2)).next_cursor is None


async def test_kinds_are_chosen(
    sessions: Sessions, session: ConversationSession, put_item: Put
) -> None:
    for kind in ("tool_call", "message", "tool_result"):
        await put_item(kind)
    page = await sessions.items(session_id=session.id, kinds=["tool_call", "tool_result"])
    assert numbers(page.items) == [1, 3]
    assert (await sessions.items(session_id=session.id, kinds=[])).items == []


async def test_nothing_inside_is_an_empty_page(
    sessions: Sessions, session: ConversationSession, turn: ConversationTurn
) -> None:
    assert (await sessions.items(session_id=session.id)).items == []
    assert (await sessions.items(turn.id)).items == []
    assert await sessions.sources(turn.id) == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "session_id"),
        ({"session_id": "x"}, "session_id"),
        ({"turn_id": "x"}, "turn_id"),
        ({"kinds": ["song"]}, "kinds"),
        ({"kinds": "message"}, "kinds"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"after": "x"}, "after"),
        ({"newest_first": "yes"}, "newest_first"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(
    sessions: Sessions, session: ConversationSession, given: dict[str, Any], field: str
) -> None:
    key = {"session_id": session.id} if given else {}
    with pytest.raises(InvalidInputError) as error:
        await sessions.items(**{**key, **given})
    assert error.value.details["field"] == field


async def test_what_is_missing_is_named(
    sessions: Sessions, session: ConversationSession, turn: ConversationTurn
) -> None:
    other = await sessions.start(session.user_id)
    for given, field in (
        ({"session_id": uuid7()}, "id"),
        ({"turn_id": uuid7()}, "turn_id"),
        ({"turn_id": turn.id, "session_id": other.id}, "turn_id"),
        ({"turn_id": turn.id, "user_id": uuid7()}, "turn_id"),
    ):
        with pytest.raises(NotFoundError) as error:
            await sessions.items(**given)
        assert error.value.details["field"] == field
    with pytest.raises(NotFoundError):
        await sessions.sources(turn.id, session_id=other.id)


async def test_another_persons_items_and_sources_are_not_found(
    digitwin_db: Database,
    session: ConversationSession,
    turn: ConversationTurn,
    put_item: Put,
    ada: User,
    bob: User,
) -> None:
    await put_item("message", {"text": "A secret."}, turn)
    hers, his = digitwin_db.for_user(ada.id).sessions, digitwin_db.for_user(bob.id).sessions
    assert len((await hers.items(turn.id)).items) == 1
    for call in (
        his.items(turn.id),
        his.items(session_id=session.id),
        his.items(turn.id, user_id=ada.id),
        his.sources(turn.id),
        his.with_turns(session.id, items=True),
    ):
        with pytest.raises(NotFoundError):
            await call


async def test_what_is_inside_a_deleted_owners_session_is_hidden(
    digitwin_db: Database,
    sessions: Sessions,
    session: ConversationSession,
    turn: ConversationTurn,
    put_item: Put,
    ada: User,
) -> None:
    await put_item("message", None, turn)
    await digitwin_db.users.delete(ada.id)
    for call in (
        sessions.items(turn.id),
        sessions.items(session_id=session.id),
        sessions.sources(turn.id),
        sessions.with_turns(session.id, items=True),
    ):
        with pytest.raises(NotFoundError):
            await call
    await digitwin_db.users.restore(ada.id)
    assert len((await sessions.items(turn.id)).items) == 1


async def test_turns_are_loaded_with_what_is_inside_them(
    sessions: Sessions,
    session: ConversationSession,
    turn: ConversationTurn,
    document: KnowledgeDocument,
    put_item: Put,
    cite: Put,
) -> None:
    second = await sessions.add_turn(session.id, user_text="And?")
    for owner in (turn, None, second, turn):
        await put_item("message", ["x"], owner)
    source = await cite(second, document)
    loaded = await sessions.with_turns(session.id, items=True)
    plain = await sessions.with_turns(session.id)
    assert list(loaded.turns) == list(plain.turns)
    for one, other in zip(loaded.turns, plain.turns, strict=True):
        unlike = {k for k, v in one.__dict__.items() if other.__dict__.get(k) != v}
        assert unlike == {"_items", "_sources"}
    first, last = loaded.turns
    assert (numbers(first.items), numbers(last.items)) == ([1, 4], [3])
    assert numbers(list(loaded.items)) == [1, 2, 3, 4]
    assert first.sources == []
    assert [found.id for found in last.sources] == [source]
    assert last.sources == await sessions.sources(last.id)
    [item] = (await sessions.items(last.id)).items
    assert item.__dict__ == last.items[0].__dict__


async def test_the_newest_turns_are_loaded_with_their_own(
    sessions: Sessions,
    session: ConversationSession,
    turn: ConversationTurn,
    document: KnowledgeDocument,
    put_item: Put,
    cite: Put,
) -> None:
    second = await sessions.add_turn(session.id, user_text="And?")
    for owner in (turn, None, second):
        await put_item("message", None, owner)
        if owner:
            await cite(owner, document)
    loaded = await sessions.with_turns(session.id, limit=1, items=True)
    [last] = loaded.turns
    assert (last.id, numbers(last.items), len(last.sources)) == (second.id, [3], 1)
    assert numbers(list(loaded.items)) == [3]


async def test_a_session_without_turns_has_its_items(
    sessions: Sessions, session: ConversationSession, put_item: Put
) -> None:
    await put_item("handoff", {"to": "billing"})
    loaded = await sessions.with_turns(session.id, items=True)
    assert list(loaded.turns) == []
    assert [item.kind for item in loaded.items] == ["handoff"]


async def test_all_is_read_by_one_statement(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession, put_item: Put
) -> None:
    await put_item()
    sent: list[str] = []
    async with digitwin_db.transaction():
        frame = Transaction.of(digitwin_db._core.pool)
        assert frame is not None
        with frame.connection.query_logger(lambda record: sent.append(record.query)):
            await sessions.with_turns(session.id, items=True)
    assert len([sql for sql in sent if "conversation_sessions" in sql]) == 1


async def test_what_was_not_loaded_says_how_to(
    sessions: Sessions, session: ConversationSession, turn: ConversationTurn
) -> None:
    for name in ("items", "sources"):
        with pytest.raises(InvalidStateError, match=r"items=True.*db\.sessions\." + name):
            getattr(turn, name)
    loaded = await sessions.with_turns(session.id, items=True)
    assert (loaded.turns[0].items, loaded.turns[0].sources) == ([], [])


async def test_a_missing_session_is_not_found_with_items_either(sessions: Sessions) -> None:
    with pytest.raises(NotFoundError):
        await sessions.with_turns(uuid7(), items=True)


async def test_a_session_reads_its_items_as_a_relation(
    session: ConversationSession, put_item: Put
) -> None:
    await put_item("message", "text")
    [item] = await session.items.all()
    assert item.payload == "text"
