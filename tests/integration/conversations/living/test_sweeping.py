"""Maintenance closes what nobody closed, and nothing that lives."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextvars import Context
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.models import ConversationSession, ConversationTurn, User
from digitwin.testing import DatabaseFactory
from tests.integration.conversations.living.conftest import age, stored

CALLER = Path(__file__).with_name("caller.py")
TURN = ("started_at", "created_at", "updated_at")
SESSION = ("started_at", "created_at", "updated_at")


async def test_a_killed_process_leaves_an_open_turn_that_ends_at_its_last_sign_of_life(
    digitwin_url: str,
    digitwin_db: Database,
    raw: asyncpg.Connection,
    sessions: Sessions,
    session: ConversationSession,
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(CALLER), digitwin_url, str(session.id), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert (await process.stdout.readline()).strip() == b"extended"
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    [turn] = (await sessions.with_turns(session.id)).turns
    assert (turn.status, turn.user_text, turn.ended_at) == ("open", "Hello?", None)
    await age(raw, "conversation_turns", *TURN, by="16 minutes")
    report = await digitwin_db.maintain()
    now = await stored(sessions, turn)
    assert (report.turns_abandoned, now.status, now.user_text) == (1, "abandoned", "Hello?")
    assert now.ended_at == turn.updated_at - timedelta(minutes=16)
    assert now.version == turn.version + 1


async def test_a_turn_that_lives_stays_open(
    digitwin_db: Database, raw: asyncpg.Connection, sessions: Sessions, turn: ConversationTurn
) -> None:
    await age(raw, "conversation_turns", *TURN)
    await sessions.extend_turn(turn.id, session_id=turn.session_id)
    report = await digitwin_db.maintain()
    assert (report.turns_abandoned, report.sessions_ended) == (0, 0)
    assert (await stored(sessions, turn)).status == "open"


async def test_a_turn_that_is_being_written_to_is_skipped(
    digitwin_db: Database, raw: asyncpg.Connection, sessions: Sessions, turn: ConversationTurn
) -> None:
    await age(raw, "conversation_turns", *TURN)
    async with raw.transaction():
        await raw.execute("UPDATE conversation_turns SET twin_text = 'x', updated_at = now()")
        assert (await digitwin_db.maintain()).turns_abandoned == 0
    assert (await digitwin_db.maintain()).turns_abandoned == 0
    assert (await stored(sessions, turn)).status == "open"


async def test_an_open_turn_of_an_ended_session_closes_after_the_grace(
    digitwin_db: Database, raw: asyncpg.Connection, sessions: Sessions, turn: ConversationTurn
) -> None:
    await sessions.end(turn.session_id)
    assert (await digitwin_db.maintain()).turns_abandoned == 0
    await age(raw, "conversation_sessions", "started_at", "ended_at", by="61 seconds")
    assert (await digitwin_db.maintain()).turns_abandoned == 1
    now = await stored(sessions, turn)
    assert (now.status, now.ended_at) == ("abandoned", turn.updated_at)


async def test_a_sign_of_life_in_the_future_counts_as_none(
    digitwin_db: Database, raw: asyncpg.Connection, sessions: Sessions, turn: ConversationTurn
) -> None:
    await age(raw, "conversation_turns", "updated_at", by="-1 day")
    assert (await digitwin_db.maintain()).turns_abandoned == 1
    now = await stored(sessions, turn)
    assert now.ended_at is not None
    assert turn.started_at < now.ended_at < turn.started_at + timedelta(hours=1)


async def test_many_turns_close_in_batches_by_several_instances(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, raw: asyncpg.Connection, turn: Any
) -> None:
    await raw.execute(
        "INSERT INTO conversation_turns (user_id, session_id, position, id, status, ended_at)"
        " SELECT user_id, session_id, 1 + n, gen_random_uuid(), 'open', NULL"
        " FROM conversation_turns, generate_series(1, 1200) AS n"
    )
    await age(raw, "conversation_turns", *TURN)
    handles = [await digitwin_db_factory(digitwin_url) for _ in range(3)]
    reports = await asyncio.gather(*(db.maintain() for db in handles))
    assert sum(report.turns_abandoned for report in reports) == 1201


# Sessions


async def test_an_idle_session_ends_at_its_last_turns_end(
    digitwin_db: Database, raw: asyncpg.Connection, sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.add_turn(session.id, user_text="a")
    last = await sessions.add_turn(session.id, user_text="b")
    await age(raw, "conversation_turns", *TURN, "ended_at", by="21 days")
    await age(raw, "conversation_sessions", *SESSION, by="21 days")
    report = await digitwin_db.maintain()
    now = await sessions.get(session.id)
    assert (report.sessions_ended, now.status, now.end_reason) == (1, "ended", "idle")
    assert last.ended_at is not None
    assert now.ended_at == last.ended_at - timedelta(days=21)
    assert (await sessions.statistics()).duration_seconds < 60
    [record] = await raw.fetch("SELECT * FROM audit_logs WHERE action = 'session.end'")
    assert record["resource_id"] == str(session.id)


async def test_one_run_abandons_the_turn_and_ends_the_session(
    digitwin_db: Database, raw: asyncpg.Connection, sessions: Sessions, turn: ConversationTurn
) -> None:
    await age(raw, "conversation_turns", *TURN, by="2 days")
    await age(raw, "conversation_sessions", *SESSION, by="2 days")
    report = await digitwin_db.maintain()
    assert (report.turns_abandoned, report.sessions_ended) == (1, 1)
    now = await sessions.get(turn.session_id)
    assert now.ended_at == turn.updated_at - timedelta(days=2)


async def test_an_idle_session_without_turns_ends_at_its_start(
    digitwin_db: Database, raw: asyncpg.Connection, sessions: Sessions, session: ConversationSession
) -> None:
    await age(raw, "conversation_sessions", *SESSION, by="2 days")
    assert (await digitwin_db.maintain()).sessions_ended == 1
    now = await sessions.get(session.id)
    assert now.ended_at == now.started_at


@pytest.mark.parametrize("alive", ["an open turn", "a late text", "a change", "its start"])
async def test_a_session_with_a_sign_of_life_stays_active(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    sessions: Sessions,
    session: ConversationSession,
    alive: str,
) -> None:
    turn = await sessions.add_turn(session.id, user_text="a")
    open_turn = await sessions.open_turn(session.id) if alive == "an open turn" else None
    await age(raw, "conversation_turns", *TURN, "ended_at", by="2 days")
    if alive != "its start":
        await age(raw, "conversation_sessions", *SESSION, by="2 days")
    if open_turn is not None:
        await sessions.extend_turn(open_turn.id, session_id=session.id, user_text="x")
    elif alive == "a late text":
        await sessions.extend_turn(turn.id, session_id=session.id, user_text="x")
    elif alive == "a change":
        await sessions.update(session.id, metadata={"n": 1})
    assert (await digitwin_db.maintain()).sessions_ended == 0
    assert (await sessions.get(session.id)).status == "active"


@pytest.mark.parametrize("never", [None, 0])
async def test_no_session_is_idle_if_the_setting_says_so(
    digitwin_url: str,
    digitwin_db_factory: DatabaseFactory,
    raw: asyncpg.Connection,
    session: ConversationSession,
    never: Any,
) -> None:
    await age(raw, "conversation_sessions", *SESSION, by="400 days")
    db = await digitwin_db_factory(digitwin_url, session_idle_timeout=never)
    assert (await db.maintain()).sessions_ended == 0


async def test_a_turn_that_is_being_opened_keeps_its_session_active(
    digitwin_db: Database, raw: asyncpg.Connection, sessions: Sessions, session: ConversationSession
) -> None:
    await age(raw, "conversation_sessions", *SESSION, by="2 days")
    async with digitwin_db.transaction():
        await sessions.open_turn(session.id)
        assert await _maintain_elsewhere(digitwin_db) == 0
    assert (await sessions.get(session.id)).status == "active"


async def _maintain_elsewhere(db: Database) -> int:
    """Run maintenance in a task that does not belong to the open transaction."""
    task = asyncio.get_running_loop().create_task(db.maintain(), context=Context())
    count: int = (await task).sessions_ended
    return count


async def test_what_is_hidden_is_left_alone(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    sessions: Sessions,
    turn: ConversationTurn,
    ada: User,
) -> None:
    await digitwin_db.users.delete(ada.id)
    await age(raw, "conversation_turns", *TURN, by="2 days")
    await age(raw, "conversation_sessions", "started_at", "ended_at", by="2 days")
    assert (await digitwin_db.maintain()).turns_abandoned == 0
    await digitwin_db.users.restore(ada.id)
    assert (await digitwin_db.maintain()).turns_abandoned == 1
