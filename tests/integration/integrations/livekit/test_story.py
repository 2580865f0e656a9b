"""The story that each framework tells, through LiveKit's own session, events and chat context."""

from __future__ import annotations

import asyncio
import sys

from livekit.agents import Agent, RunContext, ToolError, function_tool

from digitwin.database import Database
from digitwin.models import ConversationSession
from tests.faults.proxy import Proxy
from tests.integration.integrations import story
from tests.integration.integrations.livekit.fakes import INTERIM, calling
from tests.integration.integrations.livekit.studio import PATIENCE, Studio, until
from tests.integration.integrations.story import told

ORCHARD = ("My grandmother planted it.", " Then the war came.")


async def test_a_turn(digitwin_db: Database, session: ConversationSession) -> None:
    async with Studio(["From ", "nine."]).call(digitwin_db, session.id) as studio:
        await studio.says("When do you open?")
    assert await told(digitwin_db, session.id) == [story.ANSWER]


async def test_a_barge_in(digitwin_db: Database, session: ConversationSession) -> None:
    async with Studio(ORCHARD, ["Rye, ", "on Fridays."]).call(digitwin_db, session.id) as studio:
        await studio.begins_to_answer("Tell me about the orchard")
        await studio.is_generated("came.")
        studio.speaker.heard = "My grandmother planted it."
        await studio.says("Stop. What about bread?")
        assert ORCHARD[1] not in str(studio.messages), "the framework knows what was heard alone"
    assert await told(digitwin_db, session.id) == list(story.BARGE_IN)


async def test_a_barge_in_before_anything_was_heard(
    digitwin_db: Database, session: ConversationSession
) -> None:
    async with Studio(ORCHARD[:1], ["Yes?"]).call(digitwin_db, session.id) as studio:
        studio.speaker.is_silent = True
        await studio.begins_to_answer("Tell me about the orchard")
        await studio.says("Stop")
        assert ORCHARD[0] not in str(studio.messages), "the framework has no message of it"
    turns = await told(digitwin_db, session.id)
    assert turns == [story.UNHEARD, story.Turn("Stop", "Yes?")]


async def test_a_false_interruption(digitwin_db: Database, session: ConversationSession) -> None:
    resumed = asyncio.Event()
    studio = Studio(["We press it ", "in October."], can_pause=True)
    studio.agent.on("agent_false_interruption", lambda event: resumed.set())
    async with studio.call(digitwin_db, session.id):
        await studio.begins_to_answer("And the cider?")
        studio.ears.begins()
        studio.ears.hears("hm", INTERIM)
        await until(lambda: studio.agent.agent_state == "listening")
        studio.ears.ends()
        async with asyncio.timeout(PATIENCE):
            await resumed.wait()
        studio.agent.clear_user_turn()  # it was a cough
        studio.speaker.finish()
        await studio.is_quiet()
    assert await told(digitwin_db, session.id) == [story.FALSE_INTERRUPTION]


async def test_a_false_interruption_twice(
    digitwin_db: Database, session: ConversationSession
) -> None:
    resumed = list[object]()
    studio = Studio(["We press it ", "in October."], can_pause=True)
    studio.agent.on("agent_false_interruption", resumed.append)

    def is_paused() -> bool:
        studio.ears.hears("hm", INTERIM)
        return studio.agent.agent_state == "listening"

    async def cough(count: int) -> None:
        studio.ears.begins()
        await until(is_paused)
        studio.ears.ends()
        await until(lambda: len(resumed) == count)
        studio.agent.clear_user_turn()

    async with studio.call(digitwin_db, session.id):
        await studio.begins_to_answer("And the cider?")
        await cough(1)
        await cough(2)
        studio.speaker.finish()
        await studio.is_quiet()
    assert await told(digitwin_db, session.id) == [story.FALSE_INTERRUPTION]


class Weatherman(Agent):
    def __init__(self, *, has_station: bool = True) -> None:
        super().__init__(instructions="Know the weather.")
        self._has_station = has_station

    @function_tool
    async def weather(self, context: RunContext[None], city: str) -> str:
        """Return the weather of a city."""
        if not self._has_station:
            raise ToolError("no station")
        return "dry"


async def test_a_tool_call(digitwin_db: Database, session: ConversationSession) -> None:
    studio = Studio([calling("weather", city="Kyiv")], ["No, it is dry."])
    async with studio.call(digitwin_db, session.id, Weatherman()):
        await studio.says("Is it raining?")
    assert await told(digitwin_db, session.id) == [story.RAIN]


async def test_a_tool_error(digitwin_db: Database, session: ConversationSession) -> None:
    studio = Studio([calling("weather", city="Kyiv")], ["I cannot tell."])
    async with studio.call(digitwin_db, session.id, Weatherman(has_station=False)):
        await studio.says("Is it raining?")
    assert await told(digitwin_db, session.id) == [story.RAIN_UNKNOWN]


class Guide(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Show them around.", id="guide")

    @function_tool
    async def order(self, context: RunContext[None]) -> Agent:
        """Hand over to the baker."""
        return Baker()


class Baker(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Sell bread.", id="baker")

    async def on_enter(self) -> None:
        await self.session.generate_reply()


async def test_a_handoff(digitwin_db: Database, session: ConversationSession) -> None:
    studio = Studio([calling("order")], ["I am the baker. ", "Which one?"])
    async with studio.call(digitwin_db, session.id, Guide()):
        await studio.says("I want to order bread")
    assert await told(digitwin_db, session.id) == [story.HANDOFF]


async def test_a_reconnect(digitwin_db: Database, session: ConversationSession) -> None:
    async with Studio(["From ", "nine."]).call(digitwin_db, session.id) as studio:
        await studio.says("When do you open?")
    async with Studio(["I am."]).call(digitwin_db, session.id) as studio:
        await studio.says("Are you still there?")
    assert await told(digitwin_db, session.id) == list(story.RECONNECT)


async def test_a_hang_up_before_the_final_text(
    digitwin_db: Database, session: ConversationSession
) -> None:
    async with Studio().call(digitwin_db, session.id) as studio:
        studio.ears.begins()
        studio.ears.hears("Wait, one more", INTERIM)
        await until(studio.ears.events.empty)
        await until(lambda: studio.agent.user_state == "speaking")
    assert await told(digitwin_db, session.id) == [story.HANG_UP]


async def test_a_database_that_is_away_and_back(
    digitwin_db: Database, hasty: Database, proxy: Proxy, session: ConversationSession
) -> None:
    studio = Studio(["From nine."], ["Closed."], ["Until Monday."])
    async with studio.call(hasty, session.id):
        await studio.says("When do you open?")
        proxy.freeze()
        proxy.cut()
        await studio.says("And on Sundays?")
        assert studio.recording is not None
        assert not await studio.recording.recorder.drain(0.7)
        proxy.thaw()
        await studio.says("Thanks")
    assert await told(digitwin_db, session.id) == list(story.AWAY)


async def test_a_process_that_is_killed_in_mid_turn(
    digitwin_db: Database, digitwin_url: str, session: ConversationSession
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.integrations.livekit.killed"),
        *(digitwin_url, str(session.id)),
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
