"""Maintenance forgets recorders that have not written for a day, and no other."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.models import ConversationSession
from digitwin.testing import DatabaseFactory
from tests.integration.conversations.living.conftest import age

WRITERS = "SELECT count(*) FROM session_writers"


async def write_of_many(raw: asyncpg.Connection, session: ConversationSession, many: int) -> None:
    await raw.execute(
        "INSERT INTO session_writers (user_id, session_id, writer, sequence)"
        " SELECT $1, $2, gen_random_uuid(), 1 FROM generate_series(1, $3)",
        *(session.user_id, session.id, many),
    )


@pytest.mark.parametrize("by", ["25 hours", "-25 hours"], ids=["idle", "of a clock ahead"])
async def test_a_recorder_that_has_not_written_for_a_day_is_forgotten(
    digitwin_db: Database, raw: asyncpg.Connection, session: ConversationSession, by: str
) -> None:
    await write_of_many(raw, session, 3)
    await age(raw, "session_writers", "updated_at", by="23 hours")
    assert (await digitwin_db.maintain()).recorders_forgotten == 0
    await raw.execute("UPDATE session_writers SET updated_at = now()")
    await age(raw, "session_writers", "updated_at", by=by)
    assert (await digitwin_db.maintain()).recorders_forgotten == 3
    assert await raw.fetchval(WRITERS) == 0


async def test_many_are_forgotten_in_batches_by_several_instances(
    digitwin_url: str,
    digitwin_db_factory: DatabaseFactory,
    raw: asyncpg.Connection,
    session: ConversationSession,
) -> None:
    await write_of_many(raw, session, 1201)
    await age(raw, "session_writers", "updated_at", by="2 days")
    handles = [await digitwin_db_factory(digitwin_url) for _ in range(3)]
    reports = await asyncio.gather(*(db.maintain() for db in handles))
    assert sum(report.recorders_forgotten for report in reports) == 1201
    assert await raw.fetchval(WRITERS) == 0


async def test_one_that_is_writing_is_skipped(
    digitwin_db: Database, raw: asyncpg.Connection, session: ConversationSession
) -> None:
    await write_of_many(raw, session, 1)
    await age(raw, "session_writers", "updated_at", by="2 days")
    async with raw.transaction():
        await raw.execute("UPDATE session_writers SET sequence = 2, updated_at = now()")
        assert (await digitwin_db.maintain()).recorders_forgotten == 0
    assert await raw.fetchval(WRITERS) == 1


async def test_a_recorder_that_was_forgotten_goes_on(
    digitwin_db: Database, raw: asyncpg.Connection, sessions: Sessions, session: Any
) -> None:
    async with digitwin_db.recorder(session.id) as recorder:
        recorder.user_text("Hello?")
        assert await recorder.drain()
        await age(raw, "session_writers", "updated_at", by="2 days")
        assert (await digitwin_db.maintain()).recorders_forgotten == 1
        recorder.twin_text("Hello.")
        recorder.turn_done()
        assert await recorder.drain()
    [turn] = (await sessions.with_turns(session.id)).turns
    assert (turn.user_text, turn.twin_text, turn.status) == ("Hello?", "Hello.", "completed")
    assert await raw.fetchval("SELECT max(sequence) FROM session_writers") == 2


async def test_the_guard_stays(raw: asyncpg.Connection, session: ConversationSession) -> None:
    await write_of_many(raw, session, 1)
    with pytest.raises(asyncpg.RaiseError, match="refused"):
        await raw.execute("DELETE FROM session_writers")
