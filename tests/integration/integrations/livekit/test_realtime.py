"""A realtime model answers before the framework tells what was asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from livekit.agents import Agent, AgentSession

from digitwin.database import Database
from digitwin.integrations.livekit import attach
from digitwin.models import ConversationSession
from tests.integration.integrations.livekit.fakes import Microphone, Speaker
from tests.integration.integrations.livekit.realtime import RealtimeModel, RealtimeSession
from tests.integration.integrations.livekit.studio import until
from tests.integration.integrations.story import ANSWER, Turn, told


class Room:
    """A call with the model."""

    def __init__(self) -> None:
        self.model, self.speaker = RealtimeModel(), Speaker(can_pause=False)
        self.agent: AgentSession[None] = AgentSession(
            llm=self.model, vad=None, aec_warmup_duration=None
        )
        self.agent.input.audio, self.agent.output.audio = Microphone(), self.speaker

    @property
    def talk(self) -> RealtimeSession:
        return self.model.talk

    @asynccontextmanager
    async def call(self, db: Database, session: ConversationSession) -> AsyncIterator[Room]:
        recording = await attach(self.agent, db, session.id)
        await self.agent.start(Agent(instructions="Be brief."))
        yield self
        await self.agent.aclose()
        await recording.aclose()

    async def answers(self, *pieces: str) -> None:
        before = len(self.agent.history.items)
        self.talk.answers(*pieces)
        await until(lambda: len(self.agent.history.items) > before)
        await until(lambda: self.agent.current_speech is None)


async def test_words_that_come_after_their_answer_are_in_its_turn(
    digitwin_db: Database, session: ConversationSession
) -> None:
    async with Room().call(digitwin_db, session) as room:
        await room.answers("From ", "nine.")
        room.talk.transcribes("When do you open?")
        await room.answers("Rye.")
        room.talk.transcribes("Bread?")
    assert await told(digitwin_db, session.id) == [ANSWER, Turn("Bread?", "Rye.")]


async def test_words_that_come_before_their_answer_are_in_its_turn(
    digitwin_db: Database, session: ConversationSession
) -> None:
    async with Room().call(digitwin_db, session) as room:
        room.talk.transcribes("When do you open?")
        await room.answers("From nine.")
        room.talk.transcribes("Bread?")
        await room.answers("Rye.")
    assert await told(digitwin_db, session.id) == [ANSWER, Turn("Bread?", "Rye.")]


async def test_words_that_were_begun_after_the_last_answer_are_another_turn(
    digitwin_db: Database, session: ConversationSession
) -> None:
    """The words that the first answer was for are never told."""
    async with Room().call(digitwin_db, session) as room:
        await room.answers("Hello.")
        room.talk.transcribes("When do you open?", turn_started_at=time.time())
        await room.answers("From nine.")
    assert await told(digitwin_db, session.id) == [Turn(None, "Hello."), ANSWER]


async def test_a_barge_in_keeps_what_the_model_had_said(
    digitwin_db: Database, session: ConversationSession
) -> None:
    async with Room().call(digitwin_db, session) as room:
        room.speaker.holds = True
        room.talk.answers("From nine ", "to five.")
        async with asyncio.timeout(10):
            await room.speaker.started.wait()
        room.talk.transcribes("When do you open?")
        room.speaker.heard = "From"
        room.talk.cut_in()
        await until(lambda: room.agent.current_speech is None)
        await room.answers("Bye.")
        room.talk.transcribes("Thanks")
    assert await told(digitwin_db, session.id) == [
        Turn("When do you open?", "From nine to five.", heard_text="From", status="interrupted"),
        Turn("Thanks", "Bye."),
    ]
