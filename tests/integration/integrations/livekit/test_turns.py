"""Which turn the words, tools and figures of a call belong to, beyond the shared story."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import asyncpg
import pytest
from livekit import rtc
from livekit.agents import (
    Agent,
    AgentTask,
    APIConnectionError,
    FlushSentinel,
    ModelSettings,
    RunContext,
    StopResponse,
    function_tool,
)
from livekit.agents.llm import AudioContent, ChatContext, ChatMessage, ImageContent

from digitwin.database import Database
from digitwin.models import ConversationSession
from tests.integration.conversations.recorder.stored import stored_in
from tests.integration.integrations.livekit.fakes import PREFLIGHT, calling
from tests.integration.integrations.livekit.studio import Studio, until
from tests.integration.integrations.story import ANSWER, Item, Turn, told


async def test_a_greeting_is_a_turn_of_its_own(
    digitwin_db: Database, session: ConversationSession
) -> None:
    async with Studio(["From ", "nine."]).call(digitwin_db, session.id) as studio:
        await studio.agent.say("Welcome.")
        await studio.says("When do you open?")
    assert await told(digitwin_db, session.id) == [Turn(None, "Welcome."), ANSWER]


async def test_written_messages_that_wait_for_each_other_have_their_own_turns(
    digitwin_db: Database, session: ConversationSession
) -> None:
    studio = Studio(["one"], ["two"], ["three"], has_audio=False)
    async with studio.call(digitwin_db, session.id):
        handles = [studio.agent.generate_reply(user_input=n) for n in ("1", "2", "3")]
        await asyncio.gather(*(handle.wait_for_playout() for handle in handles))
    assert await told(digitwin_db, session.id) == [
        Turn("1", "one"),
        Turn("2", "two"),
        Turn("3", "three"),
    ]


async def test_a_written_message_cuts_in_before_the_framework_tells_what_was_heard(
    digitwin_db: Database, session: ConversationSession
) -> None:
    """As the framework's own handler of a room's chat does: it waits for no end."""
    studio = Studio(["Long ", "story."], ["Short."])
    async with studio.call(digitwin_db, session.id):
        await studio.begins_to_answer("Go on")
        await studio.is_generated("story.")
        studio.speaker.heard = "Long"
        studio.agent.interrupt()
        await studio.agent.generate_reply(user_input="Briefly")
    assert await told(digitwin_db, session.id) == [
        Turn("Go on", "Long story.", heard_text="Long", status="interrupted"),
        Turn("Briefly", "Short."),
    ]


async def test_an_answer_that_never_got_to_speak_is_stored_as_unheard(
    digitwin_db: Database, session: ConversationSession
) -> None:
    studio = Studio(["one"], ["two"])
    async with studio.call(digitwin_db, session.id):
        studio.ears.begins()  # the twin is silent meanwhile
        await until(lambda: studio.agent.user_state == "speaking")
        studio.agent.generate_reply(user_input="1")
        await until(lambda: studio.recording and studio.recording.recorder.turn_id)
        await studio.is_generated("one")
        studio.agent.interrupt()
        handle = studio.agent.generate_reply(user_input="2")
        studio.ears.ends()
        await handle
    assert await told(digitwin_db, session.id) == [
        Turn("1", "one", heard_text="", status="interrupted"),
        Turn("2", "two"),
    ]


async def test_a_participant_who_goes_on_before_the_model_writes_is_in_one_turn(
    digitwin_db: Database, session: ConversationSession
) -> None:
    studio = Studio([asyncio.Event()], ["Yes."])
    async with studio.call(digitwin_db, session.id):
        studio.ears.says("Do you")
        await until(lambda: studio.agent.agent_state == "thinking")
        await studio.says("sell bread?")
    assert await told(digitwin_db, session.id) == [Turn("Do you\nsell bread?", "Yes.")]


ERROR = {"source": "tts_error", "error": "APIConnectionError", "recoverable": False}


async def test_a_written_message_before_the_model_writes_is_in_the_same_turn(
    digitwin_db: Database, session: ConversationSession
) -> None:
    studio = Studio([asyncio.Event()], ["two"], has_audio=False)
    async with studio.call(digitwin_db, session.id):
        studio.agent.generate_reply(user_input="1")
        await until(lambda: studio.agent.agent_state == "thinking")
        studio.agent.interrupt()
        await studio.agent.generate_reply(user_input="2")
    assert await told(digitwin_db, session.id) == [Turn("1\n2", "two")]


class Librarian(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Find books.")
        self.arrives = asyncio.Event()

    @function_tool
    async def find(self, context: RunContext[None]) -> str:
        """Find a book."""
        return "two"

    @function_tool
    async def order(self, context: RunContext[None]) -> str:
        """Order a book, which takes long."""
        await context.update("ordering")
        await self.arrives.wait()
        return "it is on its way"


FOUND = (
    Item("tool_call", "find", {"arguments": {}}),
    Item("tool_result", "find", {"result": "two"}),
)


async def test_messages_around_a_tool_are_lines_of_one_turn(
    digitwin_db: Database, session: ConversationSession
) -> None:
    studio = Studio(["Let me ", "look.", calling("find")], ["There are ", "two."])
    async with studio.call(digitwin_db, session.id, Librarian()):
        studio.ears.says("Books on apples?")
        await until(lambda: len(studio.messages) == 3)
    assert await told(digitwin_db, session.id) == [
        Turn("Books on apples?", "Let me look.\nThere are two.", items=FOUND)
    ]


async def test_a_filler_that_is_cut_off_does_not_end_the_turn(
    digitwin_db: Database, session: ConversationSession
) -> None:
    class Thoughtful(Librarian):
        @function_tool
        async def think(self, context: RunContext[None]) -> str:
            """Think, aloud."""
            studio.speaker.holds, studio.speaker.heard = True, "Hm"
            filler = context.session.say("Hm, let me think.")
            await studio.speaker.started.wait()
            await filler.interrupt()
            return "two"

    studio = Studio([calling("think")], ["There are two."])
    async with studio.call(digitwin_db, session.id, Thoughtful()):
        studio.ears.says("Books on apples?")
        await until(lambda: "There are two." in studio.messages)
        await studio.is_quiet()
    [turn] = await told(digitwin_db, session.id)
    assert (turn.status, turn.twin_text, turn.heard_text) == (
        "completed",
        "Hm, let me think.\nThere are two.",
        "Hm\nThere are two.",
    )


async def test_a_tool_has_the_time_that_it_took(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    studio = Studio([calling("find")], ["Two."])
    async with studio.call(digitwin_db, session.id, Librarian()):
        await studio.says("Books on apples?")
    call, result = (await stored_in(raw, session.id)).items
    assert call["started_at"] == result["started_at"] < result["ended_at"]


async def test_a_tool_that_does_not_exist_is_a_call_with_an_error(
    digitwin_db: Database, session: ConversationSession
) -> None:
    studio = Studio([calling("burn", book=1)], ["I cannot."])
    async with studio.call(digitwin_db, session.id, Librarian()):
        await studio.says("Burn it")
    [turn] = await told(digitwin_db, session.id)
    assert [(item.kind, item.name, item.is_error) for item in turn.items] == [
        ("tool_call", "burn", False),
        ("tool_result", "burn", True),
    ]
    assert turn.items[0].payload == {"arguments": {"book": 1}}


async def test_a_barge_in_after_a_tool_keeps_what_was_heard_before_it(
    digitwin_db: Database, session: ConversationSession
) -> None:
    studio = Studio(["Let me look.", calling("find")], ["There are ", "two."], ["Bye."])
    async with studio.call(digitwin_db, session.id, Librarian()):
        studio.ears.says("Books on apples?")
        await until(lambda: len(studio.messages) == 2)
        studio.speaker.holds = True
        await studio.speaker.started.wait()
        studio.speaker.heard = "There"
        await studio.says("Stop")
    assert (await told(digitwin_db, session.id))[0] == Turn(
        "Books on apples?",
        "Let me look.\nThere are two.",
        heard_text="Let me look.\nThere",
        status="interrupted",
        items=FOUND,
    )


async def test_a_tool_that_goes_on_has_a_second_result(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    studio = Studio([calling("order")], ["I order it."], ["It is on its way."])
    librarian = Librarian()
    async with studio.call(digitwin_db, session.id, librarian):
        await studio.says("Order one")
        librarian.arrives.set()
        await until(lambda: "It is on its way." in studio.messages)
        await studio.is_quiet()
    stored = await stored_in(raw, session.id)
    assert [item["kind"] for item in stored.items] == ["tool_call", "tool_result", "tool_result"]
    assert len({item["call_id"] for item in stored.items}) == 1
    assert stored.items[2]["payload"] == {"result": "it is on its way"}
    assert stored.statuses == ["completed"] * len(stored.turns)


async def test_words_that_become_no_message_are_stored(
    digitwin_db: Database, session: ConversationSession
) -> None:
    ignored: list[ChatMessage] = []

    class Deaf(Agent):
        def __init__(self) -> None:
            super().__init__(instructions="")

        async def on_user_turn_completed(
            self, turn_ctx: ChatContext, new_message: ChatMessage
        ) -> None:
            if new_message.text_content != "When do you open?":
                ignored.append(new_message)
                raise StopResponse

    studio = Studio(["From nine."])
    async with studio.call(digitwin_db, session.id, Deaf()):
        studio.ears.says("Hm,  well")
        await until(lambda: len(ignored) == 1)
        await studio.says("When do you open?")
        studio.ears.says("Never mind")
        await until(lambda: len(ignored) == 2)
    assert await told(digitwin_db, session.id) == [
        Turn("Hm, well\nWhen do you open?", "From nine."),
        Turn("Never mind", None, status="abandoned"),
    ]


async def test_a_model_that_fails_leaves_an_abandoned_turn_and_the_kind_of_error(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    failure = APIConnectionError("secret", retryable=False)
    studio = Studio([failure], ["Yes."], has_audio=False)
    async with studio.call(digitwin_db, session.id):
        await studio.agent.generate_reply(user_input="Hello?")
        await studio.agent.generate_reply(user_input="Are you there?")
    stored = await stored_in(raw, session.id)
    assert stored.statuses == ["abandoned", "completed"]
    [item] = stored.items
    assert (item["name"], item["payload"]["error"]) == ("error", "APIConnectionError")
    assert item["turn_id"] == stored.turns[0]["id"]
    assert "secret" not in str(stored.items)


async def test_a_model_that_fails_half_way_leaves_what_it_wrote_and_the_error_in_one_turn(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    failure = APIConnectionError("secret", retryable=False)
    studio = Studio(["From ", failure], ["Yes."])
    async with studio.call(digitwin_db, session.id):
        studio.ears.says("When do you open?")
        await until(lambda: "From " in studio.messages)
        await studio.is_quiet()
        await studio.says("Are you there?")
    stored = await stored_in(raw, session.id)
    assert [turn["twin_text"] for turn in stored.turns] == ["From ", "Yes."]
    assert [item["turn_id"] for item in stored.items] == [stored.turns[0]["id"]]


async def test_images_and_audio_are_described_in_their_turn(
    digitwin_db: Database, session: ConversationSession
) -> None:
    frame = rtc.VideoFrame(2, 2, rtc.VideoBufferType.RGBA, bytes(16))
    sound = rtc.AudioFrame.create(16_000, 1, 1600)
    parts: list[list[Any]] = [
        ["What is it?", ImageContent(image="data:image/png;base64,AAA=")],
        [ImageContent(image="https://example.com/dog.jpg\0"), ImageContent(image=frame)],
        [AudioContent(frame=[sound], transcript="And this?")],
    ]
    studio = Studio(["A cat."], ["A dog."], ["A bird."], has_audio=False)
    async with studio.call(digitwin_db, session.id):
        for content in parts:
            message = ChatMessage(role="user", content=content)
            await studio.agent.generate_reply(user_input=message)
    assert await told(digitwin_db, session.id) == [
        Turn(
            "What is it?",
            "A cat.",
            items=(Item("image", None, {"content_type": "image/png", "size_bytes": 2}),),
        ),
        Turn(
            None,
            "A dog.",
            items=(
                Item("image", None, {"uri": "https://example.com/dog.jpg\ufffd"}),
                Item("image", None, {"width": 2, "height": 2}),
            ),
        ),
        Turn(
            None,
            "A bird.",
            items=(Item("audio", None, {"duration_ms": 100, "transcript": "And this?"}),),
        ),
    ]


async def test_an_image_that_is_not_answered_belongs_to_the_session(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    studio = Studio([APIConnectionError("", retryable=False)], has_audio=False)
    async with studio.call(digitwin_db, session.id):
        image = ImageContent(image="https://example.com/dog.jpg")
        message = ChatMessage(role="user", content=[image])
        await studio.agent.generate_reply(user_input=message)
    stored = await stored_in(raw, session.id)
    assert not stored.turns
    assert {(item["kind"], item["turn_id"]) for item in stored.items} == {
        ("image", None),
        ("custom", None),
    }


async def test_stages_and_usage_belong_to_their_turn(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    async with Studio(["One."], ["Two."]).call(digitwin_db, session.id) as studio:
        await studio.says("Hi")
        await studio.says("And?")
    stored = await stored_in(raw, session.id)
    for turn in stored.turns:
        assert turn["llm_first_token_ms"] is not None
        assert turn["tts_first_audio_ms"] is not None
        assert turn["end_of_turn_ms"] is not None
        assert turn["first_audio_ms"] is not None
        models = [used for used in stored.usage if used["turn_id"] == turn["id"]]
        llm = [used for used in models if used["kind"] == "llm"]
        assert [(used["model"], used["provider"]) for used in llm] == [("scripted", "test")]
        assert (llm[0]["input_tokens"], llm[0]["cached_input_tokens"]) == (12, 8)
        tts = [used for used in models if used["kind"] == "tts"]
        assert [(used["characters"], used["audio_ms"] >= 100) for used in tts] == [(4, True)]


async def test_a_participant_who_is_away_is_noted(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    studio = Studio()
    studio.agent.options.user_away_timeout = 0.02
    states: list[str] = []
    studio.agent.on("user_state_changed", lambda event: states.append(event.new_state))
    async with studio.call(digitwin_db, session.id):
        await until(lambda: states == ["away"])
        studio.ears.begins()
        await until(lambda: len(states) == 2)
    stored = await stored_in(raw, session.id)
    assert [(item["name"], item["payload"]) for item in stored.items] == [
        ("user_state", {"state": "away"}),
        ("user_state", {"state": "speaking"}),
    ]


async def test_each_state_is_noted_if_that_is_asked_for(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    studio, states = Studio(["From nine."]), list[tuple[str, str]]()
    for name in ("user_state", "agent_state"):
        studio.agent.on(
            f"{name}_changed",  # type: ignore[arg-type]
            lambda event, name=name: states.append((name, event.new_state)),
        )
    async with studio.call(digitwin_db, session.id, states=True):
        await studio.says("When do you open?")
    stored = await stored_in(raw, session.id)
    assert [(item["name"], item["payload"]["state"]) for item in stored.items] == states
    assert {("user_state", "speaking"), ("agent_state", "speaking")} < set(states)


async def test_who_was_heard_is_noted(digitwin_db: Database, session: ConversationSession) -> None:
    async with Studio(["From nine."], ["Bye."]).call(digitwin_db, session.id) as studio:
        for speaker, text in (("S1", "When do"), ("S2", "you open?")):
            studio.ears.begins()
            studio.ears.hears(text, speaker=speaker)
        studio.ears.ends()
        await until(lambda: "From nine." in studio.messages)
        await studio.is_quiet()
        await studio.says("Thanks")
    assert await told(digitwin_db, session.id) == [
        Turn(
            "When do you open?",
            "From nine.",
            items=(Item("custom", "speaker", {"speaker_ids": ["S1", "S2"]}),),
        ),
        Turn("Thanks", "Bye."),
    ]


async def test_texts_pass_nodes_that_the_agent_has_written_itself(
    digitwin_db: Database, session: ConversationSession
) -> None:
    class Own(Agent):
        def __init__(self) -> None:
            super().__init__(instructions="")

        async def llm_node(self, *_: Any) -> str:
            return "from nine."

        async def transcription_node(
            self, text: AsyncIterable[Any], model_settings: ModelSettings
        ) -> AsyncIterable[Any]:
            async for piece in text:
                yield piece.title()

    agent = Own()
    async with Studio().call(digitwin_db, session.id, agent) as studio:
        await studio.says("When do you open?")
        assert studio.messages[-1] == "From Nine."
    assert await told(digitwin_db, session.id) == [Turn("When do you open?", "From Nine.")]
    assert not {"llm_node", "transcription_node"} & vars(agent).keys()


async def test_an_agent_without_a_transcript_is_recorded_by_its_messages(
    digitwin_db: Database, session: ConversationSession
) -> None:
    class Mute(Agent):
        def __init__(self) -> None:
            super().__init__(instructions="")

        async def transcription_node(self, *_: Any) -> None:
            return None

    async with Studio(["From nine."]).call(digitwin_db, session.id, Mute()) as studio:
        studio.speaker.holds = True
        studio.speaker.heard = "From"
        studio.ears.says("When do you open?")
        await studio.speaker.started.wait()
        await studio.is_generated("nine.")
    assert await told(digitwin_db, session.id) == [
        Turn("When do you open?", "From nine.", heard_text="From", status="interrupted")
    ]


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b", "д" * 5000])
async def test_no_text_is_lost_for_what_cannot_be_stored(
    digitwin_db: Database, session: ConversationSession, text: str
) -> None:
    studio = Studio([text], has_audio=False)
    async with studio.call(digitwin_db, session.id):
        await studio.agent.generate_reply(user_input=text)
    turns = await told(digitwin_db, session.id)
    assert turns[0].user_text == turns[0].twin_text
    assert len(turns[0].user_text or "") == len(text)


async def test_an_answer_that_was_begun_too_early_leaves_nothing(
    digitwin_db: Database, session: ConversationSession
) -> None:
    studio = Studio(["When I want."], ["From nine."], is_eager=True)
    async with studio.call(digitwin_db, session.id):
        studio.ears.begins()
        studio.ears.hears("When do you", PREFLIGHT)
        await until(lambda: len(studio.model.replies) == 1)
        studio.ears.hears("When do you open?", PREFLIGHT)
        await until(lambda: not studio.model.replies)
        studio.ears.hears("When do you open?")
        studio.ears.ends()
        await until(lambda: len(studio.messages) == 2)
        await studio.is_quiet()
    assert await told(digitwin_db, session.id) == [ANSWER]


async def test_a_hang_up_while_the_twin_speaks_is_an_interruption(
    digitwin_db: Database, session: ConversationSession
) -> None:
    async with Studio(["From nine ", "to five."]).call(digitwin_db, session.id) as studio:
        await studio.begins_to_answer("When do you open?")
        await studio.is_generated("five.")
        studio.speaker.heard = "From"
    assert await told(digitwin_db, session.id) == [
        Turn("When do you open?", "From nine to five.", heard_text="From", status="interrupted")
    ]


async def test_what_the_model_wrote_and_the_voice_did_not_get_is_stored(
    digitwin_db: Database, session: ConversationSession
) -> None:
    """The second part is spoken after the first one has been played."""

    class InParts(Agent):
        def __init__(self) -> None:
            super().__init__(instructions="")

        async def llm_node(self, *_: Any) -> AsyncIterator[str | FlushSentinel]:
            yield "From nine"
            yield FlushSentinel()
            yield " to five."

    async with Studio(["Bye."]).call(digitwin_db, session.id, InParts()) as studio:
        await studio.begins_to_answer("When do you open?")
        await studio.is_generated("five.")
        studio.speaker.heard = "From"
    assert await told(digitwin_db, session.id) == [
        Turn("When do you open?", "From nine to five.", heard_text="From", status="interrupted")
    ]


async def test_a_voice_that_fails_leaves_what_was_heard_in_a_completed_turn(
    digitwin_db: Database, session: ConversationSession
) -> None:
    studio = Studio(["My grandmother planted it. ", "Then the war came."])
    studio.voice.fails_at = "war"
    async with studio.call(digitwin_db, session.id):
        studio.speaker.heard_to_the_end = "My grandmother planted it."
        await studio.says("Tell me about the orchard")
    assert await told(digitwin_db, session.id) == [
        Turn(
            "Tell me about the orchard",
            "My grandmother planted it. Then the war came.",
            heard_text="My grandmother planted it.",
            items=(Item("custom", "error", ERROR, is_error=True),),
        )
    ]


class Name(AgentTask[str]):
    """Asks for a name, in a conversation of its own."""

    def __init__(self) -> None:
        super().__init__(instructions="Ask for the name.")

    async def on_enter(self) -> None:
        await self.session.generate_reply()

    @function_tool
    async def is_called(self, context: RunContext[None], name: str) -> None:
        """Note the name."""
        self.complete(name)


class Receptionist(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Book tables.", id="receptionist")

    @function_tool
    async def book(self, context: RunContext[None]) -> str:
        """Book a table."""
        return f"booked for {await Name()}"


async def test_a_conversation_inside_a_tool_has_turns_of_its_own(
    digitwin_db: Database, session: ConversationSession
) -> None:
    studio = Studio(
        [calling("book")], ["What is your name?"], [calling("is_called", name="Ivan")], ["Done."]
    )
    async with studio.call(digitwin_db, session.id, Receptionist()):
        studio.ears.says("A table for two")
        await until(lambda: "What is your name?" in studio.messages)
        await studio.is_quiet()
        studio.ears.says("Ivan")
        await until(lambda: "Done." in studio.messages)
        await studio.is_quiet()
    turns = await told(digitwin_db, session.id)
    assert [(turn.user_text, turn.twin_text, turn.status) for turn in turns] == [
        ("A table for two", "What is your name?\nDone.", "completed"),
        ("Ivan", None, "completed"),
    ]


class Discreet(Agent):
    """Edits what the participant said, when the test lets it."""

    def __init__(self) -> None:
        super().__init__(instructions="")
        self.is_asked, self.may_answer = asyncio.Event(), asyncio.Event()
        self.answered = 0

    async def on_user_turn_completed(self, turn_ctx: ChatContext, new_message: ChatMessage) -> None:
        self.is_asked.set()
        await self.may_answer.wait()
        self.answered += 1
        text = new_message.text_content or ""
        if text.startswith("And"):
            raise StopResponse
        new_message.content = [text.replace("My PIN is 1234. ", "")]


@pytest.mark.parametrize("is_cut", [False, True])
async def test_what_an_agent_removes_from_a_message_is_not_stored(
    digitwin_db: Database, session: ConversationSession, is_cut: bool
) -> None:
    agent = Discreet()
    agent.may_answer.set()
    async with Studio(["From nine."]).call(digitwin_db, session.id, agent) as studio:
        if is_cut:
            studio.ears.begins()
            studio.ears.hears("My PIN is 1234.")
            studio.ears.hears("When do you open?")
            studio.ears.ends()
            await until(lambda: len(studio.messages) == 2)
            await studio.is_quiet()
        else:
            await studio.says("My PIN is 1234. When do you open?")
    assert await told(digitwin_db, session.id) == [ANSWER]


async def test_what_was_said_while_the_agent_edits_a_message_is_stored(
    digitwin_db: Database, session: ConversationSession
) -> None:
    agent, heard = Discreet(), list[str]()
    studio = Studio(["From nine."])
    async with studio.call(digitwin_db, session.id, agent):
        studio.ears.says("When do you open?")
        await agent.is_asked.wait()
        studio.agent.on("user_input_transcribed", lambda event: heard.append(event.transcript))
        studio.ears.says("And on Sundays?")
        await until(lambda: heard)
        agent.may_answer.set()
        await until(lambda: agent.answered == 2)
        await studio.is_quiet()
    turns = await told(digitwin_db, session.id)
    assert [turn.user_text for turn in turns] == ["When do you open?", "And on Sundays?"]
