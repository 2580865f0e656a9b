"""A LiveKit call in which the participant cuts in, and what digitwin has stored of it.

It needs no keys, no room and no network: model, voice and speaker are fakes.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from livekit import rtc
from livekit.agents import Agent, AgentSession, llm, voice

import digitwin
from digitwin.integrations.livekit import attach

CUT = "My grandmother planted it."
ANSWERS = iter([["From nine ", "to five."], [CUT, " Then the war came."]])


class Model(llm.LLM[Any]):
    def chat(self, **_: Any) -> Any:
        raise NotImplementedError("the agent's llm_node answers")


class Twin(Agent):
    async def llm_node(self, *_: Any) -> AsyncIterator[str]:
        for piece in next(ANSWERS):
            yield piece

    async def tts_node(self, text: Any, _: Any) -> AsyncIterator[rtc.AudioFrame]:
        async for _ in text:
            yield rtc.AudioFrame.create(24_000, 1, 2_400)


class Speaker(voice.io.AudioOutput):
    """Plays the first answer at once, and the second until the participant cuts in."""

    def __init__(self) -> None:
        super().__init__(label="fake", capabilities=voice.io.AudioOutputCapabilities(pause=False))
        self.answers, self.is_playing = 0, asyncio.Event()

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        self.on_playback_started(created_at=time.time())

    def flush(self) -> None:
        super().flush()
        self.answers += 1
        if self.answers == 2:
            self.is_playing.set()
        else:
            self.on_playback_finished(playback_position=1, interrupted=False)

    def clear_buffer(self) -> None:
        self.on_playback_finished(
            playback_position=1, interrupted=True, synchronized_transcript=CUT
        )


async def main() -> None:
    async with digitwin.connect() as db:
        owner = await db.users.create(email=f"{digitwin.uuid7()}@example.com", name="Olha")
        conversation = await db.sessions.start(owner.id)
        session: AgentSession[None] = AgentSession(llm=Model())
        session.output.audio = speaker = Speaker()
        call = await attach(session, db, conversation.id)
        await session.start(Twin(instructions="You are Olha's twin."))
        await session.generate_reply(user_input="When do you open?")
        session.generate_reply(user_input="Tell me about the orchard")
        await speaker.is_playing.wait()
        await session.interrupt()
        await session.aclose()
        await call.aclose()  # a job that shuts down waits for it by itself
        for turn in (await db.sessions.with_turns(conversation.id)).turns:
            print(f"{turn.status}: {turn.user_text} {turn.twin_text!r} heard: {turn.heard_text!r}")


asyncio.run(main())
