"""A process with a call, which speaks until it is killed."""

from __future__ import annotations

import asyncio
import sys

from digitwin.connecting import connect
from tests.integration.integrations.pipecat.stage import Stage


async def main(url: str, session_id: str) -> None:
    never = asyncio.Event()
    stage = Stage(["Some are ", "a hundred", never])
    async with connect(url, migrate="skip") as db, stage.call(db, session_id):
        await stage.says("How old are the trees?")
        await never.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
