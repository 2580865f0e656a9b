"""A realtime model answers before the participant's words are transcribed."""

from __future__ import annotations

from typing import Any

from pipecat.frames.frames import (
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMServiceMetadataFrame,
    LLMTextFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    TranscriptionFrame,
    TTSTextFrame,
)
from pipecat.processors.aggregators.llm_response_universal import (
    UserTurnMessageAddedMessage,
    UserTurnStoppedMessage,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.utils.text.base_text_aggregator import TextType

from digitwin.database import Database
from digitwin.models import ConversationSession
from tests.integration.integrations.pipecat.stage import SETTINGS, Stage, until
from tests.integration.integrations.story import Turn, told

WHEN = "2026-01-01T00:00:00Z"


class Realtime(LLMService):
    """Hears and speaks by itself: the test says what."""

    def __init__(self) -> None:
        super().__init__(settings=SETTINGS)

    def service_metadata_frame(self) -> LLMServiceMetadataFrame:
        return LLMServiceMetadataFrame(service_name=self.name, is_realtime_service=True)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)

    async def hears(self, text: str) -> None:
        """Transcribe, as late as it does."""
        await self.push_frame(TranscriptionFrame(text, "", WHEN), FrameDirection.UPSTREAM)

    async def speaks(self, *pieces: str, kind: TextType = TextType.SENTENCE) -> None:
        """Say something, whose text comes with the audio."""
        for piece in pieces:
            written = LLMTextFrame(piece)
            written.append_to_context = False
            spoken = TTSTextFrame(piece, text_type=kind)
            spoken.includes_inter_frame_spaces = True
            await self.push_frame(written)
            await self.push_frame(spoken)


class RealtimeStage(Stage):
    """A call with a realtime model."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.realtime = Realtime()

    def processors(self) -> list[Any]:
        return [self.pair.user(), self.realtime, self.pair.assistant()]

    async def is_ready(self) -> None:
        """Wait until the aggregators know that the model is a realtime one."""
        await until(lambda: bool(self.pair.user()._realtime_service_mode))

    async def reaches(self, role: str, count: int) -> None:
        """Wait until the context holds so many messages of a role."""
        await until(
            lambda: (
                sum(m.get("role") == role for m in self.pair.assistant().context.messages) == count
            )
        )


async def answers(stage: RealtimeStage, question: str, *pieces: str, number: int) -> None:
    """Drive an exchange whose transcript comes while the model speaks."""
    await stage.realtime.push_frame(LLMFullResponseStartFrame())
    await stage.realtime.speaks(*pieces)
    await stage.realtime.hears(question)
    await until(lambda: question in stage.pair.user().aggregation_string())
    await stage.realtime.push_frame(LLMFullResponseEndFrame())
    await stage.reaches("assistant", number)


async def test_words_that_come_while_the_model_speaks_are_of_its_turn(
    digitwin_db: Database, session: ConversationSession
) -> None:
    """Some services tell no turns of the participant: the answer is all that tells one."""
    stage = RealtimeStage()
    async with stage.call(digitwin_db, session.id):
        await stage.is_ready()
        await answers(stage, "When do you open?", "From ", "nine.", number=1)
        await answers(stage, "And on Sundays?", "Closed.", number=2)
    assert await told(digitwin_db, session.id) == [
        Turn("When do you open?", "From nine."),
        Turn("And on Sundays?", "Closed."),
    ]


async def test_words_before_the_answer_are_of_its_turn(
    digitwin_db: Database, session: ConversationSession
) -> None:
    stage = RealtimeStage()
    async with stage.call(digitwin_db, session.id):
        await stage.is_ready()
        for number, (asked, said) in enumerate(
            [("When do you open?", "From nine."), ("And on Sundays?", "Closed.")], 1
        ):
            await stage.realtime.hears(asked)
            await until(lambda: bool(stage.pair.user().aggregation_string()))
            await stage.realtime.push_frame(LLMFullResponseStartFrame())
            await stage.realtime.speaks(said)
            await stage.realtime.push_frame(LLMFullResponseEndFrame())
            await stage.reaches("assistant", number)
    assert await told(digitwin_db, session.id) == [
        Turn("When do you open?", "From nine."),
        Turn("And on Sundays?", "Closed."),
    ]


async def test_a_greeting_takes_no_words_of_the_participant(
    digitwin_db: Database, session: ConversationSession
) -> None:
    stage = RealtimeStage()
    async with stage.call(digitwin_db, session.id):
        await stage.is_ready()
        await stage.realtime.push_frame(LLMFullResponseStartFrame())
        await stage.realtime.speaks("Good morning.")
        await stage.realtime.push_frame(LLMFullResponseEndFrame())
        await stage.reaches("assistant", 1)
        await stage.realtime.hears("When do you open?")
        await until(lambda: bool(stage.pair.user().aggregation_string()))
        await answers(stage, "Today.", "From nine.", number=2)
    assert await told(digitwin_db, session.id) == [
        Turn(None, "Good morning."),
        Turn("When do you open? Today.", "From nine."),
    ]


async def test_a_turn_that_stops_without_text_is_told_by_its_message_later(
    digitwin_db: Database, session: ConversationSession
) -> None:
    """`on_user_turn_stopped` has no content then, `on_user_turn_message_added` has."""
    stopped: list[UserTurnStoppedMessage] = []
    added: list[UserTurnMessageAddedMessage] = []
    stage = RealtimeStage()
    stage.pair.user().add_event_handler(
        "on_user_turn_stopped", lambda _, _strategy, message: stopped.append(message)
    )
    stage.pair.user().add_event_handler(
        "on_user_turn_message_added", lambda _, message: added.append(message)
    )
    async with stage.call(digitwin_db, session.id):
        await stage.is_ready()
        await stage.put(ProposedUserStartedSpeakingFrame(), ProposedUserStoppedSpeakingFrame())
        await until(lambda: bool(stopped))
        await answers(stage, "When do you open?", "From nine.", number=1)
    assert stopped[0].content is None
    assert [message.content for message in added] == ["When do you open?"]
    assert await told(digitwin_db, session.id) == [Turn("When do you open?", "From nine.")]


async def test_a_second_question_while_a_tool_runs_opens_the_next_turn(
    digitwin_db: Database, session: ConversationSession
) -> None:
    """A realtime model answers before the words are there: the tool's turn must not take them."""
    stage = RealtimeStage()
    async with stage.call(digitwin_db, session.id):
        await stage.is_ready()
        await answers(stage, "Is it raining?", "I will look.", number=1)
        await stage.put(ProposedUserStartedSpeakingFrame())
        await until(lambda: bool(stage.pair.user()._user_turn_start_timestamp))
        await answers(stage, "When do you open?", "From nine.", number=2)
    assert await told(digitwin_db, session.id) == [
        Turn("Is it raining?", "I will look."),
        Turn("When do you open?", "From nine."),
    ]


async def test_what_was_heard_is_only_known_as_generated(
    digitwin_db: Database, session: ConversationSession
) -> None:
    """A realtime model's text runs ahead of its audio, even if it comes word by word."""
    stage = RealtimeStage()
    async with stage.call(digitwin_db, session.id):
        await stage.is_ready()
        await stage.realtime.push_frame(LLMFullResponseStartFrame())
        await stage.realtime.speaks("We ", "open ", kind=TextType.WORD)
        await stage.is_heard("We open")
        await stage.realtime.hears("When do you open?")
        await stage.put(ProposedUserStartedSpeakingFrame())
        await stage.reaches("assistant", 1)
    stored = (await digitwin_db.sessions.with_turns(session.id)).turns
    turn = next(turn for turn in stored if turn.twin_text)
    assert (turn.status, turn.heard_text) == ("interrupted", "We open")
    assert turn.extra == {"heard_basis": "generated"}
