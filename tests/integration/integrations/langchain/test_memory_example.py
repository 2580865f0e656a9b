"""The example runs as it stands."""

from __future__ import annotations

import asyncio
import os
import sys

from tests.support.checkout import root


async def test_the_example_runs(digitwin_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(root() / "examples" / "langgraph_memory.py")),
        env={**os.environ, "DIGITWIN_DATABASE_URL": digitwin_url},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    assert output.decode().splitlines() == [
        "owner: I like pizza with basil -> You said: I like pizza with basil",
        "owner: I like green tea -> You said: I like green tea",
        "owner: Which pizzas do I like? -> You said: I like pizza with basil",
        "visitor: I do not know.",
        "after: You said: I like green tea",
    ]
