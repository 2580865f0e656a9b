"""The example runs as it stands."""

from __future__ import annotations

import asyncio
import os
import sys

from tests.support.checkout import root


async def test_the_example_runs(digitwin_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(root() / "examples" / "pipecat_bot.py")),
        env={**os.environ, "DIGITWIN_DATABASE_URL": digitwin_url},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    assert output.decode().splitlines() == [
        "completed: When do you open? 'From nine to five.' heard: None",
        "interrupted: Tell me about the orchard"
        " 'My grandmother planted it. Then the war came.' heard: 'My grandmother planted it.'",
    ]
