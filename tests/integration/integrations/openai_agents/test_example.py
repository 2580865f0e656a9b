"""The example runs as it stands."""

from __future__ import annotations

import asyncio
import os
import sys

from tests.support.checkout import root


async def test_the_example_runs(digitwin_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(root() / "examples" / "openai_agent.py")),
        env={**os.environ, "DIGITWIN_DATABASE_URL": digitwin_url},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    assert output.decode().splitlines() == [
        "When do you open on Monday? -> From nine.",
        "And when do you close? -> At five.",
        "the model was told 5 items",
        "1 completed ['message', 'tool_call', 'tool_result', 'message']",
        "2 completed ['message', 'message']",
        "tokens read: 80",
        "taken back: And when do you close?",
    ]
