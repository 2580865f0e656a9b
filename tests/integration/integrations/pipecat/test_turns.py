"""What is said at the same time is told apart: answers, lines, tools and interruptions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pipecat.frames.frames import (
    CancelFrame,
    EagerEndOfTurnCancelFrame,
    EndFrame,
    Frame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMTextFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    TranscriptionFrame,
    TTSSpeakFrame,
)
from pipecat.pipeline.parallel_pipeline import ParallelPipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.filters.function_filter import FunctionFilter
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.processors.frameworks.rtvi.frames import RTVISendTextFrame
from pipecat.services.llm_service import FunctionCallParams

from digitwin.database import Database
from digitwin.models import ConversationSession
from tests.integration.integrations.pipecat.stage import Calling, Model, Stage, until
from tests.integration.integrations.story import Item, Turn, told

WHEN = "2026-01-01T00:00:00Z"


async def test_an_answer_that_goes_on_while_the_next_question_is_asked_stays_in_its_turn(
    digitwin_db: Database, session: ConversationSession
) -> None:
    """Where interruptions are off, the answer reaches the context after the next question."""
    rest = asyncio.Event()
    stage = Stage(["From ", rest, "nine."], ["Closed."], interrupts=False)
    async with stage.call(digitwin_db, session.id):
        await stage.says("When do you open?")
        await stage.is_heard("From")
        await stage.asks("And on Sundays?")
        await until(lambda: "Sundays" in str(stage.pair.user().context.messages))
        rest.set()
        await stage.is_quiet(4)
    assert await told(digitwin_db, session.id) == [
        Turn("When do you open?", "From nine."),
        Turn("And on Sundays?", "Closed."),
    ]


class Hasty(Model):
    """Writes on for a moment after it was interrupted."""

    def __init__(self, answers: list[list[Any]], late: str) -> None:
        super().__init__(answers)
        self._late = late

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, InterruptionFrame) and self._late and len(self.answers) == 1:
            await self.push_frame(LLMTextFrame(self._late))
            self._late = ""
        await super().process_frame(frame, direction)


async def test_text_written_after_the_interruption_is_of_the_interrupted_turn(
    digitwin_db: Database, session: ConversationSession
) -> None:
    stage = Stage()
    stage.model = Hasty([[asyncio.Event()], ["Yes?"]], "My grandmother ")
    stage.voice.is_muted = lambda text: "grandmother" in text
    async with stage.call(digitwin_db, session.id):
        await stage.says("Tell me about the orchard")
        await stage.says("Stop")
        await stage.is_quiet(3)
    assert await told(digitwin_db, session.id) == [
        Turn("Tell me about the orchard", "My grandmother ", heard_text="", status="interrupted"),
        Turn("Stop", "Yes?"),
    ]


async def test_an_interruption_before_the_first_word(
    digitwin_db: Database, session: ConversationSession
) -> None:
    stage = Stage([asyncio.Event()], ["Yes?"])
    async with stage.call(digitwin_db, session.id):
        await stage.says("Tell me about the orchard")
        await stage.says("Stop")
        await stage.is_quiet(3)
    assert await told(digitwin_db, session.id) == [
        Turn("Tell me about the orchard", None, status="abandoned"),
        Turn("Stop", "Yes?"),
    ]


async def test_a_tool_that_an_interruption_cancels(
    digitwin_db: Database, session: ConversationSession
) -> None:
    begun = asyncio.Event()

    async def order(params: FunctionCallParams) -> None:
        begun.set()
        await asyncio.Event().wait()

    stage = Stage(["Let me see. ", Calling("order")], ["Yes?"])
    stage.model.register_function("order", order)
    async with stage.call(digitwin_db, session.id):
        await stage.says("I want bread")
        await until(begun.is_set)
        await stage.says("No, wait")
        await stage.is_quiet(5)
    assert await told(digitwin_db, session.id) == [
        Turn(
            "I want bread",
            "Let me see. ",
            heard_text="Let me see.",
            status="interrupted",
            items=(
                Item("tool_call", "order", {"arguments": {}}),
                Item("tool_result", "order", {"result": "cancelled"}, is_error=True),
            ),
        ),
        Turn("No, wait", "Yes?"),
    ]


async def test_tools_in_parallel(digitwin_db: Database, session: ConversationSession) -> None:
    bread, cider = asyncio.Event(), asyncio.Event()

    async def price(params: FunctionCallParams) -> None:
        await (bread if params.arguments["of"] == "bread" else cider).wait()
        await params.result_callback(params.arguments["of"])

    stage = Stage([[Calling("price", "1", of="bread"), Calling("price", "2", of="cider")]], ["5."])
    stage.model.register_function("price", price)
    async with stage.call(digitwin_db, session.id):
        await stage.says("What do they cost?")
        cider.set()
        await until(lambda: '"cider"' in str(stage.pair.assistant().context.messages))
        bread.set()
        await stage.is_quiet(6)
    assert await told(digitwin_db, session.id) == [
        Turn(
            "What do they cost?",
            "5.",
            items=(
                Item("tool_call", "price", {"arguments": {"of": "bread"}}),
                Item("tool_call", "price", {"arguments": {"of": "cider"}}),
                Item("tool_result", "price", {"result": "cider"}),
                Item("tool_result", "price", {"result": "bread"}),
            ),
        )
    ]


async def test_a_tool_that_never_runs_is_a_call_without_a_result(
    digitwin_db: Database, session: ConversationSession
) -> None:
    """One at a time: the second still waits for the first when the call ends."""
    begun = asyncio.Event()

    async def order(params: FunctionCallParams) -> None:
        begun.set()
        await asyncio.Event().wait()

    stage = Stage([[Calling("order", "1"), Calling("order", "2")]])
    stage.last_frame = CancelFrame  # type: ignore[method-assign]
    stage.model = Model([[[Calling("order", "1"), Calling("order", "2")]]], run_in_parallel=False)
    stage.model.register_function("order", order)
    async with stage.call(digitwin_db, session.id):
        await stage.says("I want bread and cider")
        await until(begun.is_set)
    (turn,) = await told(digitwin_db, session.id)
    assert [item.kind for item in turn.items] == ["tool_call", "tool_call"]


async def test_a_tool_that_goes_on_keeps_no_later_turn_open(
    digitwin_db: Database, session: ConversationSession
) -> None:
    """An asynchronous tool outlives its turn; those after it end when they are answered."""

    async def order(params: FunctionCallParams) -> None:
        await asyncio.Event().wait()

    stage = Stage(["I order it. ", Calling("order")], ["From nine."])
    stage.last_frame = CancelFrame  # type: ignore[method-assign]
    stage.model.register_function("order", order, cancel_on_interruption=False)
    async with stage.call(digitwin_db, session.id):
        await stage.says("I want bread")
        await stage.is_quiet(4)
        await stage.says("When do you open?")
        await stage.is_quiet(6)
        await stage.put(TTSSpeakFrame("Anything else?", append_to_context=False))
        await until(lambda: "Anything else?" in stage.voice.spoken)
    turns = await told(digitwin_db, session.id)
    assert [(turn.user_text, turn.twin_text) for turn in turns] == [
        ("I want bread", "I order it. "),
        ("When do you open?", "From nine."),
        (None, "Anything else?"),
    ]


@pytest.mark.parametrize("last", [EndFrame, CancelFrame])
async def test_a_hang_up_after_a_final_part_of_the_words(
    digitwin_db: Database, session: ConversationSession, last: type[Frame]
) -> None:
    """The framework commits what is final; the interim words after it are kept, too."""
    stage = Stage([])
    stage.last_frame = last  # type: ignore[method-assign]
    async with stage.call(digitwin_db, session.id):
        await stage.begins()
        await stage.put(TranscriptionFrame("Wait.", "guest", WHEN))
        await stage.put(InterimTranscriptionFrame("One more", "guest", WHEN))
        await stage.heard_interim("One more")
    assert await told(digitwin_db, session.id) == [
        Turn("Wait.\nOne more", None, status="abandoned")
    ]


async def test_what_the_participant_types_is_what_they_said(
    digitwin_db: Database, session: ConversationSession
) -> None:
    """A client's text goes to the context without the aggregator: its own frame tells it."""
    stage = Stage(["From nine."], ["Closed."])
    async with stage.call(digitwin_db, session.id):
        await stage.says("When do you open?")
        await stage.is_quiet(2)
        await stage.put(RTVISendTextFrame(msg_id="1", text="And on Sundays?"))
        await stage.runs_model("And on Sundays?")
        await stage.is_quiet(4)
    assert await told(digitwin_db, session.id) == [
        Turn("When do you open?", "From nine."),
        Turn("And on Sundays?", "Closed."),
    ]


async def test_an_answer_to_an_end_of_turn_that_was_withdrawn_is_not_told(
    digitwin_db: Database, session: ConversationSession
) -> None:
    """The model's service holds it back until the turn has ended."""
    stage = Stage(["Which?"], ["From nine."])
    async with stage.call(digitwin_db, session.id):
        await stage.begins()
        stage.model.has_generated.clear()
        context = LLMContext([{"role": "user", "content": "When"}])
        await stage.put(LLMContextFrame(context, speculation=True))
        await stage.answered()
        await stage.put(EagerEndOfTurnCancelFrame())
        await stage.says("When do you open?")
        await stage.is_quiet(2)
    assert await told(digitwin_db, session.id) == [Turn("When do you open?", "From nine.")]


async def test_a_noise_without_words_opens_no_turn(
    digitwin_db: Database, session: ConversationSession
) -> None:
    """Only `on_user_turn_stopped`, whose content is empty then, tells that no words come."""
    contents: list[str | None] = []
    stage = Stage(["From nine."], interrupts=False)
    stage.voice.goes_on = True
    user = stage.pair.user()
    user._user_turn_controller._user_turn_stop_timeout = 0.01
    async with stage.call(digitwin_db, session.id):
        await stage.says("When do you open?")
        await stage.is_quiet(2)
        user.add_event_handler(
            "on_user_turn_stopped", lambda _, __, message: contents.append(message.content)
        )
        await stage.put(ProposedUserStartedSpeakingFrame(), ProposedUserStoppedSpeakingFrame())
        await until(lambda: bool(contents))
        await stage.put(TTSSpeakFrame("Anything else?", append_to_context=False))
        await until(lambda: "Anything else?" in stage.voice.spoken)
    assert contents == [""]
    assert await told(digitwin_db, session.id) == [
        Turn("When do you open?", "From nine.\nAnything else?")
    ]


class Branched(Stage):
    """A pipeline whose frames pass two branches."""

    def processors(self) -> list[FrameProcessor]:
        async def all_pass(_: Frame) -> bool:
            return True

        branches = ParallelPipeline(  # type: ignore[no-untyped-call]
            [FunctionFilter(all_pass)], [FunctionFilter(all_pass)]
        )
        return [self.pair.user(), self.model, branches, self.voice, self.pair.assistant()]


async def test_frames_that_pass_two_branches_are_told_once(
    digitwin_db: Database, session: ConversationSession
) -> None:
    stage = Branched(["From ", "nine."], ["Closed.", asyncio.Event()], ["Yes?"])
    async with stage.call(digitwin_db, session.id):
        await stage.says("When do you open?")
        await stage.is_quiet(2)
        await stage.says("And on Sundays?")
        await stage.is_heard("Closed.")
        await stage.says("Thanks")
        await stage.is_quiet(6)
    assert await told(digitwin_db, session.id) == [
        Turn("When do you open?", "From nine."),
        Turn("And on Sundays?", "Closed.", heard_text="Closed.", status="interrupted"),
        Turn("Thanks", "Yes?"),
    ]
