"""Imports beside everything else: concurrent ones, deletions, kills, a clock that was ahead."""

from __future__ import annotations

import asyncio
import json
import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import NotFoundError
from digitwin.models import ConversationSession, User
from tests.integration.conversations.transcripts.conftest import exported
from tests.integration.conversations.transcripts.generated import HEADER
from tests.support.waiting import UntilWaiting

END = json.dumps({"type": "end"})


def of_turns(count: int, *, end: bool = True, **session: Any) -> Iterator[str]:
    yield json.dumps(HEADER)
    yield json.dumps({"type": "session", **session})
    for n in range(count):
        yield json.dumps({"type": "turn", "user_text": f"{n}", "twin_text": "x" * 100})
    if end:
        yield END


async def test_concurrent_imports_of_one_file_store_it_once(
    digitwin_db: Database, talk: ConversationSession, bob: User
) -> None:
    lines = await exported(digitwin_db, talk.id)
    all_done = await asyncio.gather(
        *(digitwin_db.for_user(bob.id).sessions.import_lines(lines) for _ in range(6))
    )
    done = [one for (one,) in all_done]
    assert sorted(one.is_new for one in done) == [False] * 5 + [True]
    assert len({one.session_id for one in done}) == 1
    assert await digitwin_db.sessions.count(user_id=bob.id) == 1


async def test_a_participant_who_is_known_is_that_one_and_stays_as_they_are(
    digitwin_db: Database, talk: ConversationSession, bob: User
) -> None:
    from digitwin.conversations.participant import Participant

    sam = Participant(kind="guest", ref="web-81f3", name="Samira")
    known = await digitwin_db.sessions.start(bob.id, participant=sam)
    (copy,) = await digitwin_db.sessions.import_lines(
        await exported(digitwin_db, talk.id), user_id=bob.id
    )
    session = await digitwin_db.sessions.get(copy.session_id)
    assert session.participant_id == known.participant_id
    await session.fetch_related("participant")
    assert session.participant is not None
    assert session.participant.name == "Samira"


async def test_times_that_the_file_does_not_tell_follow_from_the_turns(
    digitwin_db: Database, ada: User
) -> None:
    turns = [
        {
            "type": "turn",
            "started_at": f"2020-01-01T10:0{n}:00Z",
            "ended_at": f"2020-01-01T10:0{n}:30Z",
        }
        for n in range(3)
    ]
    rows = [HEADER, {"type": "session", "status": "ended"}, *turns, {"type": "end"}]
    (done,) = await digitwin_db.sessions.import_lines(map(json.dumps, rows), user_id=ada.id)
    session = await digitwin_db.sessions.get(done.session_id)
    assert session.started_at == datetime(2020, 1, 1, 10, 0, tzinfo=UTC)
    assert session.ended_at == datetime(2020, 1, 1, 10, 2, 30, tzinfo=UTC)
    statistics = await digitwin_db.sessions.statistics()
    assert statistics.duration_seconds == 150


async def test_what_was_stored_in_the_future_was_stored_now(
    digitwin_db: Database, ada: User
) -> None:
    ahead = (datetime.now(UTC) + timedelta(days=400)).isoformat()
    times = {"created_at": ahead, "updated_at": ahead}
    rows = [HEADER, {"type": "session"}, {"type": "turn", **times}, {"type": "end"}]
    (done,) = await digitwin_db.sessions.import_lines(map(json.dumps, rows), user_id=ada.id)
    (turn,) = (await digitwin_db.sessions.with_turns(done.session_id)).turns
    assert max(turn.created_at, turn.updated_at) < datetime.now(UTC) + timedelta(days=1)


async def test_an_owner_who_is_deleted_meanwhile_gets_nothing(
    digitwin_db: Database, other: Database, ada: User
) -> None:
    async def lines() -> AsyncIterator[str]:
        for line in of_turns(600):
            if line == END:
                await other.users.delete(ada.id)
            yield line

    with pytest.raises(NotFoundError):
        await digitwin_db.sessions.import_lines(lines(), user_id=ada.id)
    await digitwin_db.users.restore(ada.id)
    assert await digitwin_db.sessions.count() == 0


async def test_a_deletion_at_the_end_waits_and_takes_the_conversation_along(
    digitwin_db: Database,
    other: Database,
    ada: User,
    raw: asyncpg.Connection,
    until_waiting: UntilWaiting,
) -> None:
    async with digitwin_db.transaction():
        (done,) = await digitwin_db.sessions.import_lines(of_turns(3), user_id=ada.id)
        deleting = asyncio.create_task(other.users.delete(ada.id))
        await until_waiting(1)
    await deleting
    assert await digitwin_db.sessions.find(done.session_id) is None
    assert await raw.fetchval("SELECT deleted_at IS NOT NULL FROM conversation_sessions")


async def test_a_change_of_the_owner_does_not_wait_for_an_import(
    digitwin_db: Database, other: Database, ada: User
) -> None:
    async def lines() -> AsyncIterator[str]:
        for n, line in enumerate(of_turns(1200)):
            if n == 1100:
                await other.users.update(ada.id, name="Ada W.")
            yield line

    (done,) = await digitwin_db.sessions.import_lines(lines(), user_id=ada.id)
    assert done.turns == 1200


async def test_a_cancelled_import_leaves_nothing(digitwin_db: Database, ada: User) -> None:
    async def lines() -> AsyncIterator[str]:
        for n, line in enumerate(of_turns(1200)):
            if n == 1100:
                importing.cancel()
            yield line

    importing = asyncio.create_task(digitwin_db.sessions.import_lines(lines(), user_id=ada.id))
    with pytest.raises(asyncio.CancelledError):
        await importing
    assert await digitwin_db.sessions.count() == 0
    assert (await digitwin_db.sessions.import_lines(of_turns(5), user_id=ada.id))[0].is_new


_KILLED = """
import asyncio, os, signal, sys
from digitwin.connecting import connect
from tests.integration.conversations.transcripts.test_import import of_turns

def lines():
    yield from of_turns(3, external_id="first")
    for n, line in enumerate(of_turns(2000, external_id="second")):
        if n == 1800:
            os.kill(os.getpid(), signal.SIGKILL)
        yield line

async def main():
    async with connect(sys.argv[1], migrate="skip") as db:
        await db.sessions.import_lines(lines(), user_id=sys.argv[2])

asyncio.run(main())
"""


async def test_a_killed_import_left_whole_conversations_and_is_gone_on_with(
    digitwin_db: Database, digitwin_url: str, ada: User, raw: asyncpg.Connection
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _KILLED, digitwin_url, str(ada.id))
    )
    assert await process.wait() == -9
    (first,) = (await digitwin_db.sessions.list()).items
    assert (first.external_id, first.turn_count) == ("first", 3)
    assert await raw.fetchval("SELECT count(*) FROM conversation_turns") == 3
    lines = [*of_turns(3, external_id="first"), *of_turns(2000, external_id="second")]
    one, two = await digitwin_db.sessions.import_lines(lines, user_id=ada.id)
    assert (one.is_new, two.is_new, two.turns) == (False, True, 2000)


async def test_a_huge_file_takes_no_more_memory_than_a_small_one(
    digitwin_db: Database, ada: User
) -> None:
    async def peak(turns: int) -> int:
        tracemalloc.start()
        (done,) = await digitwin_db.sessions.import_lines(of_turns(turns), user_id=ada.id)
        async for _ in digitwin_db.sessions.export(done.session_id):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    await peak(1000)
    small, large = await peak(1000), await peak(12_000)
    assert large < 1.5 * small + 500_000


async def test_an_import_is_in_the_audit_trail(
    digitwin_db: Database, talk: ConversationSession, bob: User
) -> None:
    lines = await exported(digitwin_db, talk.id)
    (copy,) = await digitwin_db.for_user(bob.id).sessions.import_lines(lines)
    (record,) = (await digitwin_db.audit.list(user_id=bob.id, resource="session")).items
    assert (record.action, record.resource_id) == ("session.import", str(copy.session_id))
    await digitwin_db.for_user(bob.id).sessions.import_lines(lines)
    assert len((await digitwin_db.audit.list(user_id=bob.id, resource="session")).items) == 1
