"""Calls of one process that wait for the same session share a statement; none sees a difference."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import asyncpg
import pytest

from digitwin.conversations import appending
from digitwin.conversations.appending import MAX_SHARED_TEXT, MAX_TURNS
from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import InvalidStateError, NotFoundError
from digitwin.models import ConversationSession, ConversationTurn, User
from digitwin.testing import DatabaseFactory
from tests.integration.conversations.conftest import WRITERS, assert_gapless
from tests.integration.conversations.queue import Between, Queue, end_long_ago, locked, texts
from tests.support.waiting import UntilWaiting


async def statements_of(raw: asyncpg.Connection, session: ConversationSession) -> int:
    """By how many transactions the session's turns were stored."""
    count: int = await raw.fetchval(
        "SELECT count(DISTINCT xmin::text) FROM conversation_turns WHERE session_id = $1",
        session.id,
    )
    return count


async def test_those_who_wait_are_stored_together_in_the_order_of_arrival(
    sessions: Sessions, session: ConversationSession, queue: Queue, raw: asyncpg.Connection
) -> None:
    await queue.begin(sessions.add_turn(session.id, user_text=f"{n}") for n in range(WRITERS))
    turns = await queue.outcomes()
    assert texts(turns) == [f"{n}" for n in range(WRITERS)]
    assert [turn.position for turn in turns] == list(range(1, WRITERS + 1))
    assert await statements_of(raw, session) == 2
    await assert_gapless(sessions, session.id, WRITERS)


async def test_each_gets_every_field_of_its_own(
    sessions: Sessions, session: ConversationSession, queue: Queue, ada: User
) -> None:
    given: list[dict[str, Any]] = [
        {"user_text": "first"},
        {"twin_text": "Hello.", "heard_text": "", "interrupted": True, "idempotency_key": "k"},
        {"user_text": "What's {this}?\n\"", "timings": {"asr_ms": 0, "total_ms": 7}},
        {"user_text": "NULL", "usage": {"input_tokens": 1, "output_tokens": 2}},
    ]
    await queue.begin(sessions.add_turn(session.id, **turn) for turn in given)
    turns = await queue.outcomes()
    stored = (await sessions.with_turns(session.id)).turns
    fields = ConversationTurn._meta.db_fields
    for turn, found in zip(turns, stored, strict=True):
        assert {name: getattr(turn, name) for name in fields} == {
            name: getattr(found, name) for name in fields
        }
    assert (turns[1].heard_text, turns[1].status, turns[1].user_id) == ("", "interrupted", ada.id)
    assert (turns[2].timings, turns[3].usage) == (
        {"asr_ms": 0, "total_ms": 7},
        {"input_tokens": 1, "output_tokens": 2},
    )
    assert (await sessions.get(session.id)).version == 5


async def test_they_leave_the_connections_to_other_calls(
    digitwin_url: str,
    digitwin_db_factory: DatabaseFactory,
    session: ConversationSession,
    queue: Queue,
    ada: User,
) -> None:
    db = await digitwin_db_factory(digitwin_url, pool_max=2, acquire_timeout=1)
    await queue.begin(db.sessions.add_turn(session.id, user_text=f"{n}") for n in range(WRITERS))
    assert (await db.users.get_by_email(ada.email)).id == ada.id
    pool = (await db.health()).pool
    assert (pool.in_use, pool.waiting) == (1, 0)
    await queue.outcomes()


async def test_more_than_a_statement_takes_are_several_statements(
    sessions: Sessions, session: ConversationSession, queue: Queue, raw: asyncpg.Connection
) -> None:
    count = 2 * MAX_TURNS
    await queue.begin(sessions.add_turn(session.id, user_text=f"{n}") for n in range(count))
    assert texts(await queue.outcomes()) == [f"{n}" for n in range(count)]
    assert await statements_of(raw, session) == 3
    await assert_gapless(sessions, session.id, count)


async def test_a_long_turn_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
    sessions: Sessions,
    session: ConversationSession,
    queue: Queue,
    until_waiting: UntilWaiting,
) -> None:
    monkeypatch.setattr(appending, "PATIENCE", 60.0)
    await queue.begin(sessions.add_turn(session.id, user_text=f"{n}") for n in range(3))
    await queue.begin([sessions.add_turn(session.id, user_text="x" * (MAX_SHARED_TEXT + 1))])
    await until_waiting(2)
    await queue.outcomes()
    await assert_gapless(sessions, session.id, 4)


async def test_other_sessions_do_not_wait(
    sessions: Sessions, session: ConversationSession, queue: Queue, ada: User
) -> None:
    other = await sessions.start(ada.id)
    await queue.begin(sessions.add_turn(session.id, user_text=f"{n}") for n in range(3))
    assert (await sessions.add_turn(other.id, user_text="free")).position == 1
    await queue.outcomes()


# Idempotency keys


async def test_of_the_same_key_in_one_statement_the_first_is_stored(
    sessions: Sessions, session: ConversationSession, queue: Queue, raw: asyncpg.Connection
) -> None:
    keys = [None, "a", "b", "a", None, "b", "a"]
    await queue.begin(
        sessions.add_turn(session.id, user_text=f"{n}", idempotency_key=key)
        for n, key in enumerate(keys)
    )
    turns = await queue.outcomes()
    assert texts(turns) == ["0", "1", "2", "1", "4", "2", "1"]
    assert [turn.position for turn in turns] == [1, 2, 3, 2, 4, 3, 2]
    assert turns[1] is not turns[3]
    assert await statements_of(raw, session) == 2
    await assert_gapless(sessions, session.id, 4)


async def test_a_key_that_is_stored_gives_back_its_turn_and_takes_no_position(
    sessions: Sessions, session: ConversationSession, raw: asyncpg.Connection, until_waiting: Any
) -> None:
    first = await sessions.add_turn(session.id, user_text="stored", idempotency_key="k")
    async with locked(raw, session) as release:
        queue = Queue(until_waiting, release)
        await queue.begin(
            sessions.add_turn(session.id, user_text=f"{n}", idempotency_key="k" if n == 2 else None)
            for n in range(4)
        )
        turns = await queue.outcomes()
    assert [turn.position for turn in turns] == [2, 3, 1, 4]
    assert turns[2].id == first.id
    assert await statements_of(raw, session) == 3
    await assert_gapless(sessions, session.id, 4)


async def test_a_key_that_is_stored_meanwhile_gives_back_its_turn_and_harms_no_other(
    sessions: Sessions, session: ConversationSession, queue: Queue, between: Between
) -> None:
    """The statement that waits does not see what it waits for: it fails, and is sent again."""
    await queue.begin(
        sessions.add_turn(session.id, user_text=f"{n}", idempotency_key=f"k{n}") for n in range(6)
    )
    first, turns = await between.run(
        lambda db: db.sessions.add_turn(session.id, user_text="first", idempotency_key="k3")
    )
    assert texts(turns) == ["0", "1", "2", "first", "4", "5"]
    assert (turns[3].id, first.position) == (first.id, 2)
    await assert_gapless(sessions, session.id, 6)


async def test_a_key_that_is_stored_meanwhile_before_the_end_gives_back_its_turn(
    sessions: Sessions, session: ConversationSession, queue: Queue, between: Between
) -> None:
    await queue.begin(
        sessions.add_turn(session.id, user_text=f"{n}", idempotency_key=f"k{n}") for n in range(6)
    )

    async def store_and_end(db: Database) -> ConversationTurn:
        turn = await db.sessions.add_turn(session.id, user_text="first", idempotency_key="k3")
        await end_long_ago(db, session)
        return turn

    first, outcomes = await between.run(store_and_end)
    assert outcomes[3].id == first.id
    for n in (1, 2, 4, 5):
        assert isinstance(outcomes[n], InvalidStateError)
    await assert_gapless(sessions, session.id, 2)


# Who shares


async def test_scopes_of_one_person_share_and_others_do_not(
    digitwin_db: Database,
    session: ConversationSession,
    queue: Queue,
    ada: User,
    bob: User,
    raw: asyncpg.Connection,
) -> None:
    def of(user: User) -> list[Coroutine[Any, Any, Any]]:
        return [
            digitwin_db.for_user(user.id).sessions.add_turn(session.id, user_text=f"{n}")
            for n in range(5)
        ]

    mine = await queue.begin(of(ada))
    for refused in await asyncio.gather(*of(bob), return_exceptions=True):
        assert isinstance(refused, NotFoundError)
    await queue.begin(
        digitwin_db.sessions.add_turn(session.id, user_text="no scope") for n in range(5)
    )
    await queue.outcomes()
    assert texts(task.result() for task in mine) == [f"{n}" for n in range(5)]
    assert await statements_of(raw, session) == 4
    await assert_gapless(digitwin_db.sessions, session.id, 10)


async def test_each_reason_of_a_service_is_recorded(
    digitwin_db: Database, session: ConversationSession, queue: Queue
) -> None:
    await queue.begin(
        digitwin_db.for_service(reason=f"reason {n}").sessions.add_turn(session.id, user_text="x")
        for n in range(4)
    )
    await queue.outcomes()
    records = (await digitwin_db.audit.list(action="scope.service")).items
    assert {record.metadata["reason"] for record in records} == {f"reason {n}" for n in range(4)}


async def test_a_transaction_shares_no_statement(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession, queue: Queue
) -> None:
    async def rolled_back(n: int) -> None:
        async with digitwin_db.transaction():
            await sessions.add_turn(session.id, user_text=f"rolled back {n}")
            raise ZeroDivisionError

    alone = await queue.begin(sessions.add_turn(session.id, user_text=f"{n}") for n in range(5))
    await queue.begin(rolled_back(n) for n in range(3))
    outcomes = await queue.outcomes()
    assert sum(isinstance(outcome, ZeroDivisionError) for outcome in outcomes) == 3
    assert sorted(texts(task.result() for task in alone)) == [f"{n}" for n in range(5)]
    await assert_gapless(sessions, session.id, 5)
