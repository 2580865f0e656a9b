"""A process that records turns until it is killed; it says ``+`` for each one that is stored."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from itertools import count
from typing import Any
from uuid import UUID

from digitwin.connecting import connect


async def main(url: str, options: dict[str, Any]) -> None:
    async with (
        connect(url, migrate="skip", recorder_lag=0.02) as db,
        db.recorder(UUID(options["session_id"])) as recorder,
    ):
        for n in count(options["first"]):
            recorder.user_text(f"question {n}")
            for piece in ("answer", " ", f"{n}"):
                recorder.twin_text(piece)
                await asyncio.sleep(0.003)
            recorder.turn_done()
            if await recorder.drain():
                os.write(1, b"+")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
