"""What is stored is found at once, whatever the index has of it, and what is gone is not."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from digitwin import Participant
from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.conversations.search.indexing import TURNS, index_turns
from digitwin.conversations.search.queries import TURNS_PER_ROW
from digitwin.database import Database
from digitwin.models import ConversationSession, User
from digitwin.testing import DatabaseFactory
from tests.integration.conversations.search.conftest import Tell, places
from tests.support.waiting import UntilWaiting

ROWS = "SELECT count(*) FROM conversation_words"
STATE = "SELECT indexed_to, is_indexed FROM conversation_sessions WHERE id = $1"
LONG_AGO = "UPDATE conversation_sessions SET updated_at = now() - interval '1 hour'"


async def found(sessions: Sessions, ada: User, query: str, **options: Any) -> list[int]:
    return places(await sessions.search(query, user_id=ada.id, **options))


async def state(raw: asyncpg.Connection, session: ConversationSession) -> tuple[Any, ...]:
    return tuple(await raw.fetchrow(STATE, session.id))


async def test_maintenance_indexes_sessions_that_have_ended(
    digitwin_db: Database, raw: asyncpg.Connection, tell: Tell
) -> None:
    session = await tell(*["apples"] * (2 * TURNS_PER_ROW + 1))
    assert (await digitwin_db.maintain()).turns_indexed == 2 * TURNS_PER_ROW + 1
    assert await raw.fetchval(ROWS) == 3
    assert await state(raw, session) == (2 * TURNS_PER_ROW + 1, True)
    assert (await digitwin_db.maintain()).turns_indexed == 0


async def test_of_an_active_session_only_whole_rows_are_indexed(
    digitwin_db: Database, raw: asyncpg.Connection, session: ConversationSession, ada: User
) -> None:
    """Its newest turns still change."""
    sessions = digitwin_db.sessions
    await sessions.add_turns(session.id, [{"user_text": "apples"}] * (2 * TURNS_PER_ROW - 1))
    assert await index_turns(digitwin_db._core) == 0
    await sessions.add_turn(session.id, user_text="apples")
    assert await index_turns(digitwin_db._core) == TURNS_PER_ROW
    assert await state(raw, session) == (TURNS_PER_ROW, False)
    assert len(await found(sessions, ada, "apples", limit=100)) == 2 * TURNS_PER_ROW


async def test_an_active_session_is_indexed_as_a_whole_once_it_is_quiet(
    digitwin_db: Database, raw: asyncpg.Connection, session: ConversationSession, ada: User
) -> None:
    sessions = digitwin_db.sessions
    await sessions.add_turn(session.id, user_text="apples")
    await raw.execute(LONG_AGO)
    assert await index_turns(digitwin_db._core) == 1
    assert await state(raw, session) == (1, False)
    await sessions.add_turn(session.id, user_text="pears")
    assert await found(sessions, ada, "apples pears") == [2, 1]
    await raw.execute(LONG_AGO)
    await index_turns(digitwin_db._core)
    assert await raw.fetchval(ROWS) == 1
    assert await found(sessions, ada, "apples pears") == [2, 1]


async def test_a_long_session_is_indexed_in_several_transactions(
    digitwin_db: Database, raw: asyncpg.Connection, tell: Tell, ada: User
) -> None:
    first, long, last = (
        await tell("a"),
        await tell(*["apples"] * (TURNS + 40)),
        await tell("apples"),
    )
    assert await index_turns(digitwin_db._core) == TURNS + 42
    for session in (first, long, last):
        assert (await state(raw, session))[1] is True
    assert len(await found(digitwin_db.sessions, ada, "apples", limit=1000)) == TURNS + 41


async def test_very_long_turns_get_rows_of_their_own(
    digitwin_db: Database, raw: asyncpg.Connection, tell: Tell, ada: User
) -> None:
    """A vector holds 1 MB."""
    texts = [" ".join(f"{turn}x{n}" for n in range(12_000)) for turn in range(12)]
    await tell(*texts)
    await index_turns(digitwin_db._core)
    assert await raw.fetchval(ROWS) == 12
    assert await found(digitwin_db.sessions, ada, "7x11999") == [8]


@pytest.mark.parametrize("text", ["ﷺ" * 100_000, "東" * 100_000, "é" * 100_000, "' \\ : * & | !"])
async def test_no_text_stops_the_index(
    digitwin_db: Database, tell: Tell, ada: User, text: str
) -> None:
    await tell(text, "apples")
    await index_turns(digitwin_db._core)
    assert await found(digitwin_db.sessions, ada, "apples") == [2]


async def change(sessions: Sessions, how: str, turn: Any) -> None:
    if how == "amended":
        await sessions.amend_turn(turn.id, session_id=turn.session_id, user_text="pears")
    elif how == "extended":
        await sessions.extend_turn(turn.id, session_id=turn.session_id, user_text=" and pears")
    else:
        items: Any = [{"kind": "custom", "payload": {}}]
        await sessions.close_turn(
            turn.id, session_id=turn.session_id, twin_text="pears", items=items
        )


@pytest.mark.parametrize("how", ["amended", "extended", "closed with items"])
async def test_a_turn_that_changes_is_found_at_once(
    digitwin_db: Database, raw: asyncpg.Connection, tell: Tell, ada: User, how: str
) -> None:
    sessions = digitwin_db.sessions
    session = await tell("apples", "plums", "apples")
    await index_turns(digitwin_db._core)
    turn = (await sessions.with_turns(session.id)).turns[1]
    await change(sessions, how, turn)
    assert await state(raw, session) == (1, False)
    assert await found(sessions, ada, "pears") == [2]
    assert await found(sessions, ada, "plums") == ([] if how == "amended" else [2])
    assert await found(sessions, ada, "apples") == [3, 1]
    await index_turns(digitwin_db._core)
    assert await state(raw, session) == (3, True)
    assert await found(sessions, ada, "pears") == [2]
    assert await found(sessions, ada, "apples") == [3, 1]


async def test_a_late_turn_and_a_reopened_session_are_found_at_once(
    digitwin_db: Database, tell: Tell, ada: User
) -> None:
    sessions = digitwin_db.sessions
    late, again = await tell("apples"), await tell("apples")
    await index_turns(digitwin_db._core)
    await sessions.add_turn(late.id, user_text="pears")
    await sessions.reopen(again.id)
    await sessions.add_turn(again.id, user_text="pears")
    assert await found(sessions, ada, "pears") == [2, 2]


async def test_a_sign_of_life_leaves_the_index_as_it_is(
    digitwin_db: Database, raw: asyncpg.Connection, tell: Tell
) -> None:
    session = await tell("apples")
    await index_turns(digitwin_db._core)
    turn = (await digitwin_db.sessions.with_turns(session.id)).turns[0]
    await digitwin_db.sessions.extend_turn(turn.id, session_id=session.id, timings={"asr_ms": 1})
    assert await state(raw, session) == (1, True)


@pytest.mark.parametrize("how", ["amended", "extended"])
async def test_the_index_is_not_made_while_a_turn_changes(
    digitwin_url: str,
    digitwin_db: Database,
    digitwin_db_factory: DatabaseFactory,
    tell: Tell,
    ada: User,
    how: str,
) -> None:
    """It would miss the change, whose statement saw that the turn was not indexed."""
    sessions = digitwin_db.sessions
    session = await tell("plums")
    turn = (await sessions.with_turns(session.id)).turns[0]
    other = await digitwin_db_factory(digitwin_url)
    async with digitwin_db.transaction():
        await change(sessions, how, turn)
        await index_turns(other._core)
    await index_turns(other._core)
    assert await found(sessions, ada, "pears") == [1]


@pytest.mark.parametrize("how", ["amended", "extended"])
async def test_a_turn_that_changes_while_it_is_indexed_is_found(
    digitwin_url: str,
    digitwin_db: Database,
    digitwin_db_factory: DatabaseFactory,
    raw: asyncpg.Connection,
    tell: Tell,
    ada: User,
    until_waiting: UntilWaiting,
    how: str,
) -> None:
    sessions = digitwin_db.sessions
    session = await tell("plums")
    turn = (await sessions.with_turns(session.id)).turns[0]
    other = await digitwin_db_factory(digitwin_url)
    async with other.transaction():
        await index_turns(other._core)
        changing = asyncio.create_task(change(sessions, how, turn))
        await until_waiting(1)
    await changing
    assert await state(raw, session) == (0, False)
    assert await found(sessions, ada, "pears") == [1]


async def test_a_deleted_owner_and_a_restored_one(
    digitwin_db: Database, tell: Tell, ada: User
) -> None:
    await tell("apples")
    await index_turns(digitwin_db._core)
    await digitwin_db.users.delete(ada.id)
    assert await found(digitwin_db.sessions, ada, "apples") == []
    await digitwin_db.users.restore(ada.id)
    assert await found(digitwin_db.sessions, ada, "apples") == [1]


async def test_an_erasure_takes_the_index(
    digitwin_db: Database, raw: asyncpg.Connection, tell: Tell, ada: User, bob: User
) -> None:
    await tell("apples")
    await tell("apples", owner=bob)
    await index_turns(digitwin_db._core)
    receipt = await digitwin_db.privacy.erase(ada.id, reason="asked")
    assert receipt.counts["conversation_words"] == 1
    assert [row["user_id"] for row in await raw.fetch("SELECT * FROM conversation_words")] == [
        bob.id
    ]


async def test_the_words_of_an_erased_participant_are_gone_at_once(
    digitwin_db: Database, raw: asyncpg.Connection, tell: Tell, ada: User
) -> None:
    await tell("apples", participant=Participant("guest", "web-1"))
    await tell("pears", participant=Participant("guest", "web-2"))
    await index_turns(digitwin_db._core)
    await digitwin_db.privacy.erase_participant(kind="guest", ref="web-1", reason="asked")
    assert await found(digitwin_db.sessions, ada, "apples") == []
    assert await found(digitwin_db.sessions, ada, "pears") == [1]
    assert await raw.fetchval(ROWS) == 1
    await index_turns(digitwin_db._core)
    assert await raw.fetchval("SELECT count(*) FROM conversation_words WHERE words = ''") == 1


async def test_two_indexers_do_not_meet(
    digitwin_url: str,
    digitwin_db: Database,
    digitwin_db_factory: DatabaseFactory,
    raw: asyncpg.Connection,
    tell: Tell,
) -> None:
    for _ in range(20):
        await tell("apples", "pears")
    other = await digitwin_db_factory(digitwin_url)
    counts = await asyncio.gather(index_turns(digitwin_db._core), index_turns(other._core))
    await index_turns(digitwin_db._core)
    assert await raw.fetchval(ROWS) == 20
    assert sum(counts) <= 40


async def test_the_index_is_made_under_row_security(
    digitwin_db: Database, raw: asyncpg.Connection, tell: Tell
) -> None:
    await tell("apples")
    service = digitwin_db.for_service(reason="index")
    assert await index_turns(service._core) == 1
    assert await raw.fetchval(ROWS) == 1


async def test_adding_a_turn_stays_hot(
    digitwin_db: Database, raw: asyncpg.Connection, session: ConversationSession
) -> None:
    await digitwin_db.sessions.add_turn(session.id, user_text="apples")
    place = "SELECT (ctid::text::point)[0] FROM conversation_sessions"
    before = await raw.fetchval(place)
    for _ in range(5):
        await digitwin_db.sessions.add_turn(session.id, user_text="apples")
    assert await raw.fetchval(place) == before
    await raw.execute("SELECT pg_stat_force_next_flush()")
