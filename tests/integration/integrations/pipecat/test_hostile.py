"""What PostgreSQL cannot hold is stored as far as it can be, and never breaks the call."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.services.llm_service import FunctionCallParams

from digitwin.conversations.fields import MAX_TEXT
from digitwin.database import Database
from digitwin.integrations.pipecat.tools import plain
from digitwin.kernel.primitives.jsonb import json_error
from digitwin.models import ConversationSession
from tests.integration.integrations.pipecat.stage import Calling, Stage, until
from tests.integration.integrations.story import Turn, told


async def failures(db: Database) -> int:
    """Return how many callbacks have failed."""
    recorders = (await db.health()).recorders
    assert recorders is not None
    return recorders.failed_callbacks


@pytest.mark.parametrize(
    ("given", "stored"), [("a\0b", "a\ufffdb"), ("a\ud800b", "a\ufffdb")], ids=["NUL", "surrogate"]
)
async def test_texts_that_cannot_be_stored_are_mended(
    digitwin_db: Database, session: ConversationSession, given: str, stored: str
) -> None:
    async with Stage([given]).call(digitwin_db, session.id) as stage:
        await stage.says(given)
        await stage.is_quiet(2)
    assert await told(digitwin_db, session.id) == [Turn(stored, stored)]
    assert await failures(digitwin_db) == 0


async def test_of_texts_that_are_too_long_the_beginning_is_kept(
    digitwin_db: Database, session: ConversationSession
) -> None:
    """What does not fit is counted; the next turn is not confused with this one."""
    long = "a" * 1_000_000
    stage = Stage([long], ["b", long, "c"], ["Closed."])
    async with stage.call(digitwin_db, session.id):
        await stage.says(long)
        await stage.is_quiet(2)
        await stage.says("And then?")
        await stage.is_quiet(4)
        await stage.says("And on Sundays?")
        await stage.is_quiet(6)
    assert await told(digitwin_db, session.id) == [
        Turn(long[:MAX_TEXT], long[:MAX_TEXT]),
        Turn("And then?", f"b{long[: MAX_TEXT - 1]}"),
        Turn("And on Sundays?", "Closed."),
    ]
    assert await failures(digitwin_db) > 0


async def test_a_line_that_is_too_long_is_cut(
    digitwin_db: Database, session: ConversationSession
) -> None:
    async with Stage().call(digitwin_db, session.id) as stage:
        await stage.put(TTSSpeakFrame("a" * 1_000_000, append_to_context=False))
        await until(lambda: bool(stage.voice.spoken))
    assert await told(digitwin_db, session.id) == [Turn(None, "a" * MAX_TEXT)]


class Odd:
    """A value that JSON does not know."""

    def __str__(self) -> str:
        return "odd\0"


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (math.inf, "inf"),
        (-(2**70), str(-(2**70))),
        ({"of": Odd(), 1: ("a", {"b"})}, {"of": "odd\ufffd", "1": ["a", "{'b'}"]}),
        (b"\xff", "b'\\xff'"),
        (True, True),
    ],
    ids=["infinity", "integer", "object", "bytes", "flag"],
)
def test_what_json_does_not_know_is_kept_as_its_text(value: Any, stored: Any) -> None:
    assert plain(value) == stored
    assert json_error(plain(value)) is None


def test_a_value_that_contains_itself_is_kept_to_a_depth() -> None:
    circular: list[Any] = []
    circular.append(circular)
    assert json_error({"result": plain(circular)}) is None


@pytest.mark.parametrize(
    ("result", "stored"), [(math.nan, "nan"), ("x" * 2_000_000, None)], ids=["nan", "large"]
)
async def test_a_result_that_cannot_be_stored_is_still_a_result(
    digitwin_db: Database, session: ConversationSession, result: Any, stored: Any
) -> None:
    async def odd(params: FunctionCallParams) -> None:
        await params.result_callback(result)

    stage = Stage([Calling("odd")], ["Done."])
    stage.model.register_function("odd", odd)
    async with stage.call(digitwin_db, session.id):
        await stage.says("Do it")
        await until(lambda: "Done." in stage.voice.spoken)
    (turn,) = await told(digitwin_db, session.id)
    assert turn.items[1].payload == {"result": stored}
    assert turn.items[1].name == "odd"


@pytest.mark.parametrize("name", ["", "a" * 1000, "a\nb", "a\0b", "a\x01\u2028b"])
async def test_a_tool_of_a_strange_name(
    digitwin_db: Database, session: ConversationSession, name: str
) -> None:
    stage = Stage([Calling(name, name)], ["Done."])
    async with stage.call(digitwin_db, session.id):
        await stage.says("Do it")
        await until(lambda: "Done." in stage.voice.spoken)
    (turn,) = await told(digitwin_db, session.id)
    assert [item.kind for item in turn.items] == ["tool_call", "tool_result"]
    assert await failures(digitwin_db) == 0
