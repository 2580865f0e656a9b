"""The recording never breaks or holds up the call, whatever happens to the database."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from pipecat.frames.frames import CancelFrame

from digitwin.database import Database
from digitwin.errors import NotFoundError
from digitwin.integrations.pipecat import attach, call
from digitwin.models import ConversationSession, User
from digitwin.testing import DatabaseFactory
from tests.faults.proxy import Proxy
from tests.integration.conversations.recorder.conftest import HASTY
from tests.integration.integrations.pipecat.stage import Stage
from tests.integration.integrations.story import ANSWER, Turn, told


async def test_a_call_for_its_owner_alone(digitwin_db: Database, ada: User, bob: User) -> None:
    own = digitwin_db.for_user(ada.id)
    session = await own.sessions.start()
    async with Stage(["From ", "nine."]).call(own, session.id) as stage:
        await stage.says("When do you open?")
        await stage.is_quiet(2)
    assert await told(digitwin_db, session.id) == [ANSWER]
    with pytest.raises(NotFoundError):
        await attach(stage.pair, digitwin_db.for_user(bob.id), session.id)


async def test_ten_calls_in_one_process(digitwin_db: Database, ada: User) -> None:
    sessions = [await digitwin_db.sessions.start(ada.id) for _ in range(10)]

    async def talk(number: int) -> None:
        stage = Stage([f"From {number}."], [f"Closed {number}."])
        async with stage.call(digitwin_db, sessions[number].id):
            await stage.says(f"When, {number}?")
            await stage.is_quiet(2)
            await stage.says(f"And on Sundays, {number}?")
            await stage.is_quiet(4)

    await asyncio.gather(*(talk(number) for number in range(10)))
    for number, session in enumerate(sessions):
        assert await told(digitwin_db, session.id) == [
            Turn(f"When, {number}?", f"From {number}."),
            Turn(f"And on Sundays, {number}?", f"Closed {number}."),
        ]


async def test_a_pipeline_that_is_cancelled_in_mid_turn(
    digitwin_db: Database, session: ConversationSession
) -> None:
    stage = Stage(["From ", asyncio.Event()])
    stage.last_frame = CancelFrame  # type: ignore[method-assign]
    async with stage.call(digitwin_db, session.id):
        await stage.says("When do you open?")
        await stage.is_heard("From")
    assert await told(digitwin_db, session.id) == [Turn("When do you open?", "From ")]


async def test_the_pipeline_ends_while_the_database_is_frozen(
    digitwin_db: Database,
    digitwin_db_factory: DatabaseFactory,
    proxy: Proxy,
    session: ConversationSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It waits for a bounded time; what is left is written when the database is back."""
    monkeypatch.setattr(call, "DRAIN_LIMIT", 0.2)
    db = await digitwin_db_factory(proxy.url, **{**HASTY, "drain_timeout": 60})
    stage = Stage(["From ", "nine."])
    async with stage.call(db, session.id):
        proxy.freeze()
        await stage.says("When do you open?")
        await stage.is_quiet(2)
    assert stage.recording is not None
    recorder = stage.recording.recorder
    assert recorder.buffered
    proxy.cut()
    proxy.thaw()
    assert await recorder.drain(20)
    assert await told(digitwin_db, session.id) == [ANSWER]


@pytest.mark.parametrize("when_full", ["wait", "drop"])
async def test_a_full_buffer_loses_a_question_and_never_mixes_turns(
    digitwin_db: Database,
    digitwin_db_factory: DatabaseFactory,
    proxy: Proxy,
    session: ConversationSession,
    when_full: str,
) -> None:
    """Memory is bounded; the answer to what was lost is a turn of its own."""
    db = await digitwin_db_factory(
        proxy.url, **HASTY, recorder_buffer_bytes=65_536, recorder_when_full=when_full
    )
    written = asyncio.Event()
    answers: list[list[Any]] = [["From nine."], ["a" * 70_000], [written, "Closed."]]
    stage = Stage(*answers, interrupts=False)
    stage.voice.goes_on = True
    async with stage.call(db, session.id):
        await stage.says("When do you open?")
        await stage.is_quiet(2)
        assert stage.recording is not None
        recorder = stage.recording.recorder
        assert await recorder.drain(20)
        proxy.freeze()
        proxy.cut()
        await stage.says("Tell me about the orchard")
        await stage.is_quiet(4)
        await stage.says("And on Sundays?")
        assert recorder.buffered
        proxy.thaw()
        async with asyncio.timeout(20):
            await recorder.room()
        written.set()
        await stage.is_quiet(6)
    turns = await told(digitwin_db, session.id)
    assert [(turn.user_text, (turn.twin_text or "")[:20]) for turn in turns] == [
        ("When do you open?", "From nine."),
        ("Tell me about the orchard", "a" * 20),
        (None, "Closed."),
    ]


async def test_an_error_is_logged_once_without_what_was_said(
    digitwin_db: Database,
    session: ConversationSession,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(text: str, **_: object) -> None:
        raise RuntimeError(text)

    stage = Stage(["From ", "nine."])
    with caplog.at_level(logging.WARNING, "digitwin"):
        async with stage.call(digitwin_db, session.id):
            assert stage.recording is not None
            monkeypatch.setattr(stage.recording.recorder, "twin_text", fail)
            await stage.says("When do you open?")
            await stage.is_quiet(2)
    recorders = (await digitwin_db.health()).recorders
    assert recorders is not None
    assert recorders.failed_callbacks >= 2
    assert "LLMTextFrame" in caplog.text
    assert caplog.text.count("LLMTextFrame") == 1
    assert "From" not in caplog.text
