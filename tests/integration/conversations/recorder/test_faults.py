"""A recorder whose database, network or process fails: nothing is lost, nothing stored twice."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from digitwin.conversations.fields import MAX_TEXT
from digitwin.conversations.recorder import lanes
from digitwin.conversations.recorder.recorder import TurnRecorder
from digitwin.database import Database
from digitwin.errors import BufferFullError, NotFoundError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, User
from digitwin.testing import DatabaseFactory
from tests.faults.proxy import Proxy
from tests.integration.conversations.recorder.conftest import HASTY
from tests.integration.conversations.recorder.stored import Stored, stored_in

Read = Callable[[], Awaitable[Stored]]

FULL = """
    CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full';
    END $$
"""
"""Answers as a server without space does; lifecycle/test_read_only_server has a real one."""
KILL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%living.write%'
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "PAUSES", (0.01, 0.05))


def talk(recorder: TurnRecorder, n: int) -> None:
    """One turn, with something of each kind."""
    recorder.user_text(f"question {n}")
    recorder.tool_call("hours", {"n": n}, call_id=f"{n}")
    for piece in ("answer", " ", f"{n}"):
        recorder.twin_text(piece)
    recorder.tool_result(f"{n}", n)
    recorder.usage(kind="llm", input_tokens=n)
    recorder.source(quote=f"{n}")
    recorder.turn_done()


def assert_whole(found: Stored, turns: int) -> None:
    """Assert that so many turns of :func:`talk` are stored, each once, whole, and in order."""
    assert found.texts == [(f"question {n}", f"answer {n}") for n in range(turns)]
    assert found.statuses == ["completed"] * turns
    ids = [turn["id"] for turn in found.turns]
    assert [(item["turn_id"], item["call_id"]) for item in found.items] == [
        (id, f"{n}") for n, id in enumerate(ids) for _ in range(2)
    ]
    assert [(row["turn_id"], row["input_tokens"]) for row in found.usage] == list(
        zip(ids, range(turns), strict=True)
    )
    assert sorted(row["turn_id"] for row in found.sources) == sorted(ids)


async def drained(recorder: TurnRecorder) -> None:
    async with asyncio.timeout(20):
        while not await recorder.drain(1):
            assert not recorder.dropped


# The network


@pytest.mark.parametrize("passes", range(12))
async def test_every_message_may_be_cut(
    hasty: Database, proxy: Proxy, session: ConversationSession, stored: Read, passes: int
) -> None:
    async with hasty.recorder(session.id) as recorder:
        talk(recorder, 0)
        await drained(recorder)
        proxy.passes = passes
        for n in range(1, 5):
            talk(recorder, n)
            await recorder.drain(0.1)
        await drained(recorder)
    assert_whole(await stored(), 5)


@pytest.mark.parametrize("before", [False, True], ids=["answer", "request"])
async def test_a_write_whose_outcome_is_unknown_is_stored_once(
    hasty: Database, proxy: Proxy, session: ConversationSession, stored: Read, before: bool
) -> None:
    async with hasty.recorder(session.id) as recorder:
        hold = proxy.hold("question 0", before=before)
        talk(recorder, 0)
        async with asyncio.timeout(5):
            await (hold.seen if before else hold.answered).wait()
        talk(recorder, 1)
        hold.lose()
        await drained(recorder)
    assert_whole(await stored(), 2)


async def test_a_frozen_network(
    hasty: Database, proxy: Proxy, session: ConversationSession, stored: Read
) -> None:
    async with hasty.recorder(session.id) as recorder:
        talk(recorder, 0)
        await drained(recorder)
        proxy.freeze()
        for n in range(1, 4):
            talk(recorder, n)
            assert not await recorder.drain(0.2)
        proxy.thaw()
        await drained(recorder)
    assert_whole(await stored(), 4)


async def test_a_recorder_can_begin_while_the_database_is_away(
    hasty: Database,
    proxy: Proxy,
    session: ConversationSession,
    stored: Read,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await proxy.__aexit__(None, None, None)
    async with hasty.recorder(session.id) as recorder:
        talk(recorder, 0)
        assert not await recorder.drain(0.1)
        health = (await hasty.health()).recorders
        assert health is not None
        assert (health.live, health.buffered > 0, health.dropped) == (1, True, 0)
        assert health.lag_ms > 0
        assert health.error == "connection_failed"
        await proxy.listen_again()
        await drained(recorder)
        health = (await hasty.health()).recorders
        assert health is not None
        assert (health.buffered, health.lag_ms, health.error) == (0, 0.0, None)
    assert_whole(await stored(), 1)
    assert "question" not in caplog.text


async def test_leaving_the_block_does_not_wait_for_ever_and_loses_nothing(
    hasty: Database, proxy: Proxy, session: ConversationSession, stored: Read
) -> None:
    async with hasty.recorder(session.id) as recorder:
        talk(recorder, 0)
        await drained(recorder)
        proxy.freeze()
        talk(recorder, 1)
    assert recorder.buffered
    proxy.thaw()
    await drained(recorder)
    assert_whole(await stored(), 2)


async def test_a_handle_that_closes_without_its_database_says_what_is_lost(
    hasty: Database,
    proxy: Proxy,
    session: ConversationSession,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with hasty.recorder(session.id) as recorder:
        proxy.freeze()
        talk(recorder, 0)
        with caplog.at_level(logging.ERROR):
            await hasty.close()
        assert "not stored" in caplog.text
        assert not await recorder.drain()


# The server


async def test_backends_that_are_killed_all_the_time(
    hasty: Database, session: ConversationSession, stored: Read, raw: asyncpg.Connection
) -> None:
    async def kill() -> None:
        while True:
            await raw.execute(KILL)

    killing = asyncio.ensure_future(kill())
    async with hasty.recorder(session.id) as recorder:
        for n in range(20):
            talk(recorder, n)
            await recorder.drain(0.05)
        killing.cancel()
        await asyncio.wait([killing])
        await drained(recorder)
    assert_whole(await stored(), 20)


async def test_a_server_that_is_read_only_for_a_while(
    hasty: Database, session: ConversationSession, stored: Read, raw: asyncpg.Connection
) -> None:
    name = await raw.fetchval("SELECT current_database()")
    async with hasty.recorder(session.id) as recorder:
        await raw.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await raw.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        for n in range(3):
            talk(recorder, n)
            assert not await recorder.drain(0.1)
        await raw.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await drained(recorder)
    assert_whole(await stored(), 3)


async def test_a_server_whose_disk_is_full_for_a_while(
    hasty: Database, session: ConversationSession, stored: Read, raw: asyncpg.Connection
) -> None:
    async with hasty.recorder(session.id) as recorder:
        talk(recorder, 0)
        await drained(recorder)
        await raw.execute(FULL)
        await raw.execute(
            "CREATE TRIGGER no_space BEFORE INSERT ON turn_items"
            " FOR EACH ROW EXECUTE FUNCTION no_space()"
        )
        for n in range(1, 4):
            talk(recorder, n)
            assert not await recorder.drain(0.1)
        health = (await hasty.health()).recorders
        assert health is not None
        assert (health.error, health.dropped) == ("server_exhausted", 0)
        await raw.execute("DROP TRIGGER no_space ON turn_items")
        await drained(recorder)
    assert_whole(await stored(), 4)


async def test_a_locked_session_does_not_hold_others_back(
    hasty: Database, session: ConversationSession, ada: User, raw: asyncpg.Connection, stored: Read
) -> None:
    other = await hasty.sessions.start(ada.id)
    async with hasty.recorder(session.id) as locked, hasty.recorder(other.id) as free:
        async with raw.transaction():
            await raw.execute(
                "SELECT FROM conversation_sessions WHERE id = $1 FOR UPDATE", session.id
            )
            talk(locked, 0)
            assert not await locked.drain(0.5)
            for n in range(5):
                talk(free, n)
                async with asyncio.timeout(5):
                    assert await free.drain(5)
            assert locked.buffered
        await drained(locked)
    assert_whole(await stored(), 1)
    assert_whole(await stored_in(raw, other.id), 5)


async def test_a_clock_that_jumps(
    hasty: Database, session: ConversationSession, stored: Read, raw: asyncpg.Connection
) -> None:
    """The database's time as it was told last may be far from what it is."""
    async with hasty.recorder(session.id) as recorder:
        clock = recorder._recorders.clock
        recorder.user_text("Hi")
        moment, when = clock._told  # type: ignore[misc]
        for hours in (-5, 5):
            clock._told = moment + timedelta(hours=hours), when
            recorder.twin_text("Hello")
            recorder.turn_done()
            recorder.user_text("Hi")
        await drained(recorder)
    assert len((await stored()).turns) == 3  # whose ends are not before their starts


# The process


async def test_a_process_that_is_killed_has_stored_what_it_flushed(
    digitwin_url: str, session: ConversationSession, stored: Read
) -> None:
    for round in range(3):
        before = len((await stored()).turns)
        options = json.dumps({"session_id": str(session.id), "first": before})
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.integration.conversations.recorder.talker"),
            *(digitwin_url, options),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        flushed = 0
        async with asyncio.timeout(30):
            while flushed < 5 + round:
                assert await process.stdout.readexactly(1) == b"+"
                flushed += 1
            process.send_signal(signal.SIGKILL)
            flushed += len(await process.stdout.read())
            await process.wait()
        found = await stored()
        complete = [turn for turn in found.turns[before:] if turn["status"] == "completed"]
        assert len(complete) >= flushed
        for n, (user, twin) in enumerate(found.texts):
            assert user == f"question {n}" or (user, n) == (None, before)
            assert f"answer {n}".startswith(twin or "") or user is None
        if found.statuses[-1] == "open":  # as maintenance leaves it
            assert found.statuses.count("open") <= round + 1


# Events that the database refuses


async def test_a_refused_event_is_dropped_and_all_others_are_stored(
    hasty: Database,
    session: ConversationSession,
    stored: Read,
    raw: asyncpg.Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await raw.execute(
        "ALTER TABLE turn_items ADD CONSTRAINT ck_turn_items__name CHECK (name <> 'poison')"
    )
    async with hasty.recorder(session.id) as recorder:
        for n in range(4):
            talk(recorder, n)
            recorder.tool_call("poison", {"secret": n}, call_id=f"{n}")
        assert not await recorder.drain(20)
        assert (recorder.buffered, recorder.dropped) == (0, 4)
        talk(recorder, 4)
    assert_whole(await stored(), 5)
    assert "secret" not in caplog.text
    assert "poison" not in caplog.text
    assert "ItemWrite" in caplog.text


async def test_a_speaker_or_a_document_that_is_gone_costs_no_text(
    hasty: Database, session: ConversationSession, stored: Read
) -> None:
    async with hasty.recorder(session.id, participant_id=uuid7()) as recorder:
        recorder.user_text("Hi")
        recorder.twin_text("Hello")
        recorder.source(uuid7(), quote="q")
        recorder.turn_done()
        assert await recorder.drain(20)
        assert recorder.dropped == 0
    found = await stored()
    assert found.texts == [("Hi", "Hello")]
    assert found.turns[0]["participant_id"] is None
    assert (found.sources[0]["document_id"], found.sources[0]["quote"]) == (None, "q")


async def test_a_turn_whose_opening_is_refused_opens_with_what_follows(
    hasty: Database, session: ConversationSession, stored: Read, raw: asyncpg.Connection
) -> None:
    await raw.execute(
        "ALTER TABLE conversation_turns"
        " ADD CONSTRAINT ck_conversation_turns__poison CHECK (user_text <> 'poison')"
    )
    async with hasty.recorder(session.id) as recorder:
        recorder.user_text("poison")
        recorder.twin_text("Hello")
        recorder.turn_done()
        recorder.user_text("fine")
        assert not await recorder.drain(20)
    found = await stored()
    assert found.texts == [(None, "Hello"), ("fine", None)]
    assert found.statuses == ["completed", "abandoned"]


async def test_a_turn_that_exists_already_is_extended(
    hasty: Database, session: ConversationSession, stored: Read
) -> None:
    turn = await hasty.sessions.open_turn(session.id, user_text="Hi")
    async with hasty.recorder(session.id) as recorder:
        recorder.user_text(" there", turn_id=turn.id)
        recorder.twin_text("Hello")
        recorder.turn_done()
        assert await recorder.drain(20)
    assert (await stored()).texts == [("Hi there", "Hello")]
    assert (await stored()).statuses == ["completed"]


async def test_a_turn_of_nobody_is_counted_as_dropped(
    hasty: Database, session: ConversationSession, stored: Read
) -> None:
    async with hasty.recorder(session.id) as recorder:
        recorder.twin_text("lost", turn_id=uuid7())
        recorder.twin_text("Hello")
        assert not await recorder.drain(20)
        assert recorder.dropped == 1
    assert (await stored()).texts == [(None, "Hello")]


async def test_a_session_that_is_gone_when_the_database_is_back(
    hasty: Database, proxy: Proxy
) -> None:
    await proxy.__aexit__(None, None, None)
    recorder = hasty.recorder(uuid7())
    with pytest.raises(NotFoundError):
        async with recorder:
            talk(recorder, 0)
            await proxy.listen_again()
            await drained(recorder)
    assert (recorder.buffered, recorder.dropped) == (0, 7)


# Texts that others make too long


async def test_a_text_that_is_cut_is_counted(
    hasty: Database, session: ConversationSession, stored: Read, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a turn to which others write, no call can know how long it is."""
    secret = "secret" * 10_000
    async with hasty.recorder(session.id) as one, hasty.recorder(session.id) as two:
        one.twin_text(secret)
        await drained(one)
        assert one.turn_id is not None
        two.twin_text(secret, turn_id=one.turn_id)
        assert not await two.drain(10)
        two.twin_text("lost", turn_id=one.turn_id)
        two.stage("llm", 5, turn_id=one.turn_id)
        assert not await two.drain(10)
        assert (one.dropped, two.dropped) == (0, 2)
    [(_, text)] = (await stored()).texts
    assert text == (2 * secret)[:MAX_TEXT]
    assert "secret" not in caplog.text
    assert "did not fit" in caplog.text


async def test_a_text_may_be_as_long_as_it_may(
    hasty: Database, session: ConversationSession, stored: Read
) -> None:
    async with hasty.recorder(session.id) as recorder:
        recorder.user_text("ä" * MAX_TEXT)
        for _ in range(4):
            recorder.twin_text("ö" * (MAX_TEXT // 4))
            await drained(recorder)
        assert recorder.dropped == 0
    assert (await stored()).texts == [("ä" * MAX_TEXT, "ö" * MAX_TEXT)]


# A buffer that is full


async def fill(recorder: TurnRecorder) -> int:
    """Add texts until the buffer is full; return how many."""
    for n in range(100):
        try:
            recorder.item("custom", {"text": "x" * 10_000})
        except BufferFullError:
            return n
        if recorder.dropped:
            return n
    raise AssertionError("the buffer has no bound")


async def test_a_full_buffer_refuses_until_there_is_room(
    proxy: Proxy, digitwin_db_factory: DatabaseFactory, session: ConversationSession, stored: Read
) -> None:
    db = await digitwin_db_factory(proxy.url, **HASTY, recorder_buffer_bytes=65_536)
    async with db.recorder(session.id) as recorder:
        proxy.freeze()
        taken = await fill(recorder)
        assert taken == 7
        with pytest.raises(BufferFullError):
            recorder.user_text("Hi")
        waiting = asyncio.ensure_future(recorder.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        proxy.thaw()
        async with asyncio.timeout(10):
            await waiting
        recorder.user_text("Hi")
        recorder.twin_text("Hello")
        recorder.turn_done()
        await drained(recorder)
    found = await stored()
    assert (found.texts, len(found.items)) == ([("Hi", "Hello")], taken)


async def test_a_full_buffer_drops_and_counts_if_that_is_set(
    proxy: Proxy, digitwin_db_factory: DatabaseFactory, session: ConversationSession, stored: Read
) -> None:
    db = await digitwin_db_factory(
        proxy.url, **HASTY, recorder_buffer_bytes=65_536, recorder_when_full="drop"
    )
    async with db.recorder(session.id) as recorder:
        recorder.user_text("Hi")
        await drained(recorder)
        proxy.freeze()
        taken = await fill(recorder)
        recorder.twin_text("dropped")
        recorder.turn_done()  # how a turn ends is not dropped
        assert recorder.dropped == 2
        proxy.thaw()
        async with asyncio.timeout(10):
            await recorder.room()
        recorder.user_text("And?")
        assert await recorder.drain(10)  # what was accepted is stored
    found = await stored()
    assert (found.texts, len(found.items)) == ([("Hi", None), ("And?", None)], taken)
    assert found.statuses == ["completed", "abandoned"]
    health = (await db.health()).recorders
    assert health is not None
    assert health.dropped == 2


async def test_no_wait_is_stuck_when_its_task_is_cancelled(
    proxy: Proxy, digitwin_db_factory: DatabaseFactory, session: ConversationSession, stored: Read
) -> None:
    db = await digitwin_db_factory(proxy.url, **HASTY, recorder_buffer_bytes=65_536)
    async with db.recorder(session.id) as recorder:
        proxy.freeze()
        await fill(recorder)
        waits: list[Any] = [asyncio.ensure_future(w) for w in (recorder.room(), recorder.drain(9))]
        await asyncio.sleep(0)
        for wait in waits:
            wait.cancel()
        assert all(
            isinstance(outcome, asyncio.CancelledError)
            for outcome in await asyncio.gather(*waits, return_exceptions=True)
        )
        proxy.thaw()
        await drained(recorder)
    assert len((await stored()).items) == 7
