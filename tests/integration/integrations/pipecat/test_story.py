"""The story that each framework tells, through Pipecat's own pipeline and aggregators."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

import pytest
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    FunctionCallResultProperties,
    InterimTranscriptionFrame,
    TTSSpeakFrame,
)
from pipecat.services.llm_service import FunctionCallParams

from digitwin.database import Database
from digitwin.models import ConversationSession
from tests.faults.proxy import Proxy
from tests.integration.integrations import story
from tests.integration.integrations.pipecat.stage import Calling, Stage
from tests.integration.integrations.story import Turn, told

ORCHARD = ("My grandmother planted it.", " Then the war came.")
RAIN_UNKNOWN = replace(
    story.RAIN_UNKNOWN,
    items=(
        story.RAIN_UNKNOWN.items[0],
        replace(story.RAIN_UNKNOWN.items[1], payload={"result": "RuntimeError: no station"}),
    ),
)
"""The framework tells a tool's error with its type."""
HANDOFF = replace(
    story.HANDOFF,
    items=tuple(
        replace(item, payload={"result": "done"}) if item.kind == "tool_result" else item
        for item in story.HANDOFF.items
    ),
)
"""The framework runs no model after a tool without a result."""
WHEN = "2026-01-01T00:00:00Z"


async def test_a_turn(digitwin_db: Database, session: ConversationSession) -> None:
    async with Stage(["From ", "nine."]).call(digitwin_db, session.id) as stage:
        await stage.says("When do you open?")
        await stage.is_quiet(2)
    assert await told(digitwin_db, session.id) == [story.ANSWER]


async def test_a_barge_in(digitwin_db: Database, session: ConversationSession) -> None:
    stage = Stage([*ORCHARD, asyncio.Event()], ["Rye, ", "on Fridays."])
    stage.voice.is_muted = lambda text: text == ORCHARD[1]
    async with stage.call(digitwin_db, session.id):
        await stage.says("Tell me about the orchard")
        await stage.is_heard(ORCHARD[0])
        await stage.says("Stop. What about bread?")
        await stage.is_quiet(4)
        assert ORCHARD[1] not in str(stage.pair.assistant().context.messages)
    assert await told(digitwin_db, session.id) == list(story.BARGE_IN)
    turn = (await digitwin_db.sessions.with_turns(session.id)).turns[0]
    assert turn.extra == {"heard_basis": "segments"}, "how sure it is what was heard"


async def test_a_barge_in_before_anything_was_heard(
    digitwin_db: Database, session: ConversationSession
) -> None:
    stage = Stage([ORCHARD[0], asyncio.Event()], ["Yes?"])
    stage.voice.is_muted = lambda text: text == ORCHARD[0]
    async with stage.call(digitwin_db, session.id):
        await stage.says("Tell me about the orchard")
        await stage.says("Stop")
        await stage.is_quiet(3)
    assert await told(digitwin_db, session.id) == [story.UNHEARD, Turn("Stop", "Yes?")]


async def test_a_barge_in_after_the_context_has_the_answer(
    digitwin_db: Database, session: ConversationSession
) -> None:
    stage = Stage([ORCHARD[0]], ["Yes?"])
    stage.voice.goes_on = True
    async with stage.call(digitwin_db, session.id):
        await stage.says("Tell me about the orchard")
        await stage.is_quiet(2)
        await stage.says("Stop")
        await stage.is_quiet(4)
    first, _ = await told(digitwin_db, session.id)
    assert (first.status, first.heard_text) == ("interrupted", ORCHARD[0])


async def test_a_cough_that_interrupts_nothing(
    digitwin_db: Database, session: ConversationSession
) -> None:
    """The framework decides by its strategies; what it took for a cough it does not stop for."""
    cough = asyncio.Event()
    async with Stage(["We press it ", cough, "in October."]).call(digitwin_db, session.id) as stage:
        await stage.says("And the cider?")
        await stage.put(InterimTranscriptionFrame("hm", "guest", WHEN))
        cough.set()
        await stage.is_quiet(2)
    assert await told(digitwin_db, session.id) == [story.FALSE_INTERRUPTION]


@pytest.mark.parametrize("has_station", [True, False])
async def test_a_tool(
    digitwin_db: Database, session: ConversationSession, has_station: bool
) -> None:
    expected = story.RAIN if has_station else RAIN_UNKNOWN

    async def weather(params: FunctionCallParams) -> None:
        if not has_station:
            raise RuntimeError("no station")
        await params.result_callback("dry")

    stage = Stage([Calling("weather", city="Kyiv")], [expected.twin_text])
    stage.model.register_function("weather", weather)
    async with stage.call(digitwin_db, session.id):
        await stage.says("Is it raining?")
        await stage.is_quiet(4)
    assert await told(digitwin_db, session.id) == [expected]


async def test_a_handoff(digitwin_db: Database, session: ConversationSession) -> None:
    """The framework has no event of one: the service tells the recorder, when it hands over."""

    async def order(params: FunctionCallParams) -> None:
        async def hand_over() -> None:
            assert stage.recording is not None
            stage.recording.recorder.item("handoff", {"from": "guide"}, name="baker")

        properties = FunctionCallResultProperties(on_context_updated=hand_over)
        await params.result_callback("done", properties=properties)

    stage = Stage([Calling("order")], ["I am the baker. Which one?"])
    stage.model.register_function("order", order)
    async with stage.call(digitwin_db, session.id):
        await stage.says("I want to order bread")
        await stage.is_quiet(4)
    assert await told(digitwin_db, session.id) == [HANDOFF]


async def test_a_reconnect(digitwin_db: Database, session: ConversationSession) -> None:
    async with Stage(["From ", "nine."]).call(digitwin_db, session.id) as stage:
        await stage.says("When do you open?")
        await stage.is_quiet(2)
    async with Stage(["I am."]).call(digitwin_db, session.id) as stage:
        await stage.says("Are you still there?")
        await stage.is_quiet(2)
    assert await told(digitwin_db, session.id) == list(story.RECONNECT)


@pytest.mark.parametrize("last", [EndFrame, CancelFrame])
async def test_a_hang_up_before_the_final_text(
    digitwin_db: Database, session: ConversationSession, last: type[Frame]
) -> None:
    stage = Stage()
    stage.last_frame = last  # type: ignore[method-assign]
    async with stage.call(digitwin_db, session.id):
        await stage.begins()
        await stage.put(InterimTranscriptionFrame("Wait, one more", "guest", WHEN))
        await stage.heard_interim("Wait, one more")
    assert await told(digitwin_db, session.id) == [story.HANG_UP]


async def test_a_line_that_never_reaches_the_context(
    digitwin_db: Database, session: ConversationSession
) -> None:
    async with Stage(["From nine."]).call(digitwin_db, session.id) as stage:
        await stage.put(TTSSpeakFrame("Good morning.", append_to_context=False))
        await stage.says("When do you open?")
        await stage.is_quiet(2)
        assert "morning" not in str(stage.pair.assistant().context.messages)
    assert await told(digitwin_db, session.id) == [
        Turn(None, "Good morning."),
        Turn("When do you open?", "From nine."),
    ]


async def test_a_database_that_is_away_and_back(
    digitwin_db: Database, hasty: Database, proxy: Proxy, session: ConversationSession
) -> None:
    stage = Stage(["From nine."], ["Closed."], ["Until Monday."])
    async with stage.call(hasty, session.id):
        await stage.says("When do you open?")
        await stage.is_quiet(2)
        proxy.freeze()
        proxy.cut()
        await stage.says("And on Sundays?")
        await stage.is_quiet(4)
        assert stage.recording is not None
        assert not await stage.recording.recorder.drain(0.7)
        proxy.thaw()
        await stage.says("Thanks")
        await stage.is_quiet(6)
    assert await told(digitwin_db, session.id) == list(story.AWAY)


async def test_a_process_that_is_killed_in_mid_turn(
    digitwin_db: Database, digitwin_url: str, session: ConversationSession
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.integrations.pipecat.killed"),
        *(digitwin_url, str(session.id)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(60):
            while await told(digitwin_db, session.id) != [story.CRASH]:
                assert process.returncode is None
                await asyncio.sleep(0.05)
    finally:
        process.kill()
        await process.wait()
    assert await told(digitwin_db, session.id) == [story.CRASH]
