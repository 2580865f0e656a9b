"""Of what is too long or malformed, as much is stored as can be."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest
from livekit.agents import Agent, RunContext, function_tool
from livekit.agents.llm import FunctionToolCall

from digitwin.conversations.fields import MAX_TEXT
from digitwin.database import Database
from digitwin.integrations.fitting import MAX_CUT
from digitwin.models import ConversationSession
from tests.integration.conversations.recorder.stored import stored_in
from tests.integration.integrations.livekit.fakes import calling
from tests.integration.integrations.livekit.studio import Studio, until
from tests.integration.integrations.story import ANSWER, told

LONG = ("word " * 1000,) * 60


async def failures(db: Database) -> int:
    health = (await db.health()).recorders
    assert health is not None
    return health.failed_callbacks


async def test_the_beginning_of_a_long_text_is_stored(
    digitwin_db: Database, session: ConversationSession
) -> None:
    studio = Studio(LONG, ["From nine."], has_audio=False)
    async with studio.call(digitwin_db, session.id):
        await studio.agent.generate_reply(user_input="".join(LONG))
        await studio.agent.generate_reply(user_input="When do you open?")
    turn, answer = await told(digitwin_db, session.id)
    assert turn.user_text == turn.twin_text == "".join(LONG)[:MAX_TEXT]
    assert (turn.status, answer) == ("completed", ANSWER)
    assert await failures(digitwin_db) == 2, "a text is counted once"


async def test_a_barge_in_into_a_long_text_is_an_interruption(
    digitwin_db: Database, session: ConversationSession
) -> None:
    async with Studio(LONG, ["Yes?"]).call(digitwin_db, session.id) as studio:
        await studio.begins_to_answer("Go on")
        studio.speaker.heard = "word " * 30_000
        await studio.says("Stop")
    turn = (await told(digitwin_db, session.id))[0]
    assert (turn.status, turn.heard_text) == ("interrupted", ("word " * 30_000)[:MAX_TEXT])


class Clerk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="")

    @function_tool
    async def read(self, context: RunContext[None]) -> str:
        """Read a book."""
        return "\x01" * 2_000_000

    @function_tool
    async def note(self, context: RunContext[None], text: str) -> str:
        """Note something."""
        return "done"


async def test_the_beginning_of_a_long_result_is_stored(
    digitwin_db: Database, session: ConversationSession
) -> None:
    studio = Studio([calling("read")], ["Well."], has_audio=False)
    async with studio.call(digitwin_db, session.id, Clerk()):
        await studio.agent.generate_reply(user_input="Read")
    [turn] = await told(digitwin_db, session.id)
    assert turn.items[1].payload == {"result": "\x01" * MAX_CUT}
    assert await failures(digitwin_db) == 1


async def test_the_beginning_of_a_long_name_is_stored(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    call = FunctionToolCall(name="a\n" * 300, arguments="{}", call_id="c" * 300)
    studio = Studio([call], ["Well."], has_audio=False)
    async with studio.call(digitwin_db, session.id, Clerk()):
        await studio.agent.generate_reply(user_input="Read")
    stored = await stored_in(raw, session.id)
    assert [item["kind"] for item in stored.items] == ["tool_call", "tool_result"]
    assert [item["name"] for item in stored.items] == [("a " * 300)[:200].strip()] * 2
    assert [item["call_id"] for item in stored.items] == ["c" * 200] * 2


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ('{"text": "a\\u0000b\\ud800"}', {"text": "a\ufffdb\ufffd"}),
        ('{"text": "\\\\u0000"}', {"text": "\\u0000"}),
        ('{"text\\u0000": 1}', {"text\ufffd": 1}),
        ('{"text": NaN}', '{"text": NaN}'),
        ('{"text": 99999999999999999999}', '{"text": 99999999999999999999}'),
        (f'{{"text": {"[" * 70}{"]" * 70}}}', f'{{"text": {"[" * 70}{"]" * 70}}}'),
        ("", ""),
    ],
)
async def test_arguments_are_stored_as_they_are_or_as_text(
    digitwin_db: Database, session: ConversationSession, written: str, stored: Any
) -> None:
    call = FunctionToolCall(name="note", arguments=written, call_id="1")
    studio = Studio([call], ["Well."], has_audio=False)
    async with studio.call(digitwin_db, session.id, Clerk()):
        await studio.agent.generate_reply(user_input="Note it")
    [turn] = await told(digitwin_db, session.id)
    assert turn.items[0].payload == {"arguments": stored}
    assert await failures(digitwin_db) == 0


async def test_a_language_that_is_none_does_not_cost_the_text(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    languages = [" ", "e\0n", "\ud800", "x" * 50, "de\nCH"]
    studio = Studio(*(["Yes."] for _ in languages))
    async with studio.call(digitwin_db, session.id):
        for number, language in enumerate(languages, start=1):
            studio.ears.begins()
            studio.ears.hears("Hello?", language=language)
            studio.ears.ends()
            await until(lambda number=number: len(studio.messages) == 2 * number)  # type: ignore[misc]
            await studio.is_quiet()
    stored = await stored_in(raw, session.id)
    assert [turn["user_text"] for turn in stored.turns] == ["Hello?"] * len(languages)
    assert await failures(digitwin_db) == 0
