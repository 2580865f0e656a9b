"""The example runs as it stands."""

from __future__ import annotations

import asyncio
import os
import sys

from tests.support.checkout import root


async def test_the_example_runs(digitwin_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(root() / "examples" / "langchain_cache.py")),
        env={**os.environ, "DIGITWIN_DATABASE_URL": digitwin_url},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    assert output.decode().splitlines() == [
        "asked: From nine. (The model was asked 1 times.)",
        "again: From nine. (The model was asked 1 times.)",
        "owner: From nine. (The model was asked 2 times.)",
        "after: From nine. (The model was asked 3 times.)",
        "embedded: ['When do you open?', 'From nine.']",
        "vector: [17.0]",
        "keys: ['hours/monday']",
    ]
