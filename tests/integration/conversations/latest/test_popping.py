"""The last item is taken back, with its words; callers at once get different items."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import asyncpg
import pytest

from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.conversations.search.indexing import index_turns
from digitwin.conversations.transcripts.messages import text_of
from digitwin.database import Database
from digitwin.models import ConversationSession
from digitwin.testing import DatabaseFactory
from tests.integration.conversations.latest.history import item, names, turns
from tests.support.waiting import UntilWaiting


async def exchange(sessions: Sessions, session: ConversationSession, name: str) -> Any:
    turn = await sessions.open_turn(
        session.id, user_text=f"{name}?", items=[item(f"{name}1", "user", f"{name}?")]
    )
    await sessions.close_turn(
        turn.id,
        session_id=session.id,
        twin_text=f"{name}!\nBye",
        items=[
            item(f"{name}2", "assistant", [{"type": "output_text", "text": f"{name}!"}]),
            item(f"{name}3", "assistant", "Bye"),
        ],
    )
    return turn


async def test_the_last_item_is_returned_and_gone(
    sessions: Sessions, session: ConversationSession
) -> None:
    await exchange(sessions, session, "a")
    popped = await sessions.pop_item(session.id)
    assert popped is not None
    assert (popped.item_id, popped.number, popped.kind) == ("a3", 3, "message")
    assert await names(sessions, session) == ["a1", "a2"]


async def test_words_leave_the_turn(sessions: Sessions, session: ConversationSession) -> None:
    await exchange(sessions, session, "a")
    left = []
    for _ in range(4):
        left += await turns(sessions, session)
        await sessions.pop_item(session.id)
    assert left == [
        (1, "completed", "a?", "a!\nBye"),
        (1, "completed", "a?", "a!"),
        (1, "open", "a?", None),
    ]


async def test_a_turn_that_is_not_the_last_stays_abandoned(
    sessions: Sessions, session: ConversationSession
) -> None:
    own = await exchange(sessions, session, "a")
    await exchange(sessions, session, "b")
    for _ in range(3):
        await sessions.pop_item(session.id, own_turns=[own.id])
    assert await turns(sessions, session) == [
        (1, "abandoned", None, None),
        (2, "completed", "b?", "b!\nBye"),
    ]


async def test_a_turn_that_cost_something_stays(
    sessions: Sessions, session: ConversationSession
) -> None:
    turn = await sessions.open_turn(session.id, user_text="a", items=[item("a", "user", "a")])
    await sessions.add_usage(session_id=session.id, turn_id=turn.id, kind="llm", input_tokens=1)
    await sessions.pop_item(session.id)
    assert await turns(sessions, session) == [(1, "abandoned", None, None)]


async def test_other_words_of_the_turn_stay(
    sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.open_turn(
        session.id, user_text="as it was heard", items=[item("a", "user", "as it was typed")]
    )
    await sessions.pop_item(session.id)
    assert await turns(sessions, session) == [(1, "open", "as it was heard", None)]


async def test_what_was_heard_goes_with_the_answer(
    sessions: Sessions, session: ConversationSession
) -> None:
    turn = await sessions.open_turn(session.id, user_text="a")
    await sessions.close_turn(
        turn.id,
        session_id=session.id,
        status="interrupted",
        twin_text="b c",
        heard_text="b",
        items=[item("b", "assistant", "b c")],
    )
    await sessions.pop_item(session.id)
    [left] = (await sessions.with_turns(session.id)).turns
    assert (left.twin_text, left.heard_text, left.status) == (None, None, "interrupted")


async def test_the_index_forgets_the_words(
    sessions: Sessions, session: ConversationSession, digitwin_db: Database, raw: asyncpg.Connection
) -> None:
    await exchange(sessions, session, "zebra")
    await sessions.end(session.id)
    assert await index_turns(digitwin_db._core) == 1
    for _ in range(3):
        await sessions.pop_item(session.id)
    assert await raw.fetchval("SELECT count(*) FROM conversation_words") == 0
    assert await sessions.search("zebra", user_id=session.user_id) == []
    now = await sessions.get(session.id)
    assert (now.turn_count, now.status) == (0, "ended")


async def test_positions_and_numbers_go_on(
    sessions: Sessions, session: ConversationSession
) -> None:
    await exchange(sessions, session, "a")
    await exchange(sessions, session, "b")
    for _ in range(3):
        await sessions.pop_item(session.id)
    await exchange(sessions, session, "c")
    assert [position for position, *_ in await turns(sessions, session)] == [1, 2]
    assert await names(sessions, session) == ["a1", "a2", "a3", "c1", "c2", "c3"]


async def test_callers_at_once_get_different_items(
    sessions: Sessions,
    session: ConversationSession,
    digitwin_url: str,
    digitwin_db_factory: DatabaseFactory,
) -> None:
    for name in "abcd":
        await exchange(sessions, session, name)
    others = [(await digitwin_db_factory(digitwin_url)).sessions for _ in range(3)]
    popped = await asyncio.gather(
        *(other.pop_item(session.id) for other in (sessions, *others) for _ in range(4))
    )
    found = Counter(row.item_id for row in popped if row is not None)
    assert sorted(found) == sorted(f"{name}{n}" for name in "abcd" for n in (1, 2, 3))
    assert set(found.values()) == {1}
    assert await turns(sessions, session) == []


async def test_a_writer_that_came_first_is_not_overlooked(
    sessions: Sessions,
    session: ConversationSession,
    raw: asyncpg.Connection,
    until_waiting: UntilWaiting,
) -> None:
    """The turn is empty in the snapshot of the statement that waits, and is not any more."""
    turn = await sessions.open_turn(session.id, user_text="a", items=[item("a", "user", "a")])
    async with raw.transaction():
        await raw.execute(
            "WITH s AS (UPDATE conversation_sessions SET item_count = 2, version = version + 1"
            " WHERE id = $1 RETURNING user_id) INSERT INTO turn_items (user_id, session_id,"
            " number, id, turn_id, kind, item_id) SELECT user_id, $1, 2, gen_random_uuid(), $2,"
            " 'custom', 'b' FROM s",
            session.id,
            turn.id,
        )
        popping = asyncio.create_task(sessions.pop_item(session.id))
        await until_waiting(1)
    popped = await popping
    assert popped is not None
    assert popped.item_id == "b"
    assert await turns(sessions, session) == [(1, "open", "a", None)]


async def test_the_callers_transaction_takes_it_back(
    sessions: Sessions, session: ConversationSession, digitwin_db: Database
) -> None:
    await exchange(sessions, session, "a")
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await sessions.pop_item(session.id)
            1 / 0  # noqa: B018
    assert await names(sessions, session) == ["a1", "a2", "a3"]


async def test_the_permission_to_delete_ends_with_the_statement(
    sessions: Sessions, session: ConversationSession, digitwin_db: Database
) -> None:
    await exchange(sessions, session, "a")
    async with digitwin_db.transaction():
        for _ in range(4):  # the last one finds nothing
            await sessions.pop_item(session.id)
            setting = "SELECT current_setting('digitwin.allow_hard_delete', true)"
            assert await digitwin_db._core.db.fetchval(setting) != "on"


@pytest.mark.parametrize(
    "content",
    [
        "",
        ["a", ""],
        ["", {"text": "x"}],
        [{"text": "", "refusal": "no"}, {"text": "b"}],
        [{"text": 5}, "k"],
        [{"text": 5, "refusal": "r"}],
        [{"type": "reasoning", "text": "think"}, {"text": "b"}],
        [{"type": "thinking", "text": "t"}],
        [[], 5, True, None, "x"],
        5,
        {"text": "x"},
    ],
)
async def test_a_message_says_what_was_stored_of_it(
    sessions: Sessions, session: ConversationSession, content: Any
) -> None:
    said, _ = text_of(content)
    before = "before" if said else "before\n"
    turn = await sessions.open_turn(session.id, items=[item("a", "assistant", before)])
    await sessions.close_turn(
        turn.id,
        session_id=session.id,
        twin_text=f"before\n{said}",
        items=[item("b", "assistant", content)],
    )
    await sessions.pop_item(session.id)
    assert await turns(sessions, session) == [(1, "completed", None, before)]


async def test_of_equal_messages_one_is_left(
    sessions: Sessions, session: ConversationSession
) -> None:
    """The second one did not fit into the text."""
    said = "word " * 30_000
    text = said[:100_000]
    both = [item(name, "user", said) for name in "ab"]
    await sessions.open_turn(session.id, user_text=text, items=both)
    await sessions.pop_item(session.id)
    assert await turns(sessions, session) == [(1, "open", text, None)]
    await sessions.pop_item(session.id)
    assert await turns(sessions, session) == []
