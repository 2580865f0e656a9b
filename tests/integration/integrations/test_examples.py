"""Each example of a framework runs as it stands, without keys or network."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Final

import pytest

from tests.support.checkout import root

EXAMPLES: Final = root() / "examples"
LONGEST: Final = 80
"""Lines."""

_CALL: Final = [
    "completed: When do you open? 'From nine to five.' heard: None",
    "interrupted: Tell me about the orchard"
    " 'My grandmother planted it. Then the war came.' heard: 'My grandmother planted it.'",
]
PRINTED: Final = {
    "langchain_cache": [
        "asked: From nine. (The model was asked 1 times.)",
        "again: From nine. (The model was asked 1 times.)",
        "owner: From nine. (The model was asked 2 times.)",
        "after: From nine. (The model was asked 3 times.)",
        "embedded: ['When do you open?', 'From nine.']",
        "vector: [17.0]",
        "keys: ['hours/monday']",
    ],
    "langgraph_memory": [
        "owner: I like pizza with basil -> You said: I like pizza with basil",
        "owner: I like green tea -> You said: I like green tea",
        "owner: Which pizzas do I like? -> You said: I like pizza with basil",
        "visitor: I do not know.",
        "after: You said: I like green tea",
    ],
    "livekit_agent": _CALL,
    "openai_agent": [
        "When do you open on Monday? -> From nine.",
        "And when do you close? -> At five.",
        "the model was told 5 items",
        "1 completed ['message', 'tool_call', 'tool_result', 'message']",
        "2 completed ['message', 'message']",
        "tokens read: 80",
        "taken back: And when do you close?",
    ],
    "pipecat_bot": _CALL,
}


@pytest.mark.parametrize("name", PRINTED)
async def test_it_runs(name: str, digitwin_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLES / f"{name}.py")),
        env={**os.environ, "DIGITWIN_DATABASE_URL": digitwin_url},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    assert output.decode().splitlines() == PRINTED[name]


def test_every_one_is_run_and_short() -> None:
    files = {path.stem: path for path in EXAMPLES.glob("*.py")}
    assert set(files) == set(PRINTED)
    assert {
        n: len(f.read_text().splitlines()) < LONGEST for n, f in files.items()
    } == dict.fromkeys(files, True)
