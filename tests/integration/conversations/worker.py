"""A process that adds turns, given URL, TASKS and OPTIONS as the limiter's worker is.

It says ``r`` when it is ready, waits for a line, and says ``+`` for each turn that was stored for
it alone. Some of its turns have keys that the other processes use as well, and some of its calls
are cancelled.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from typing import Any

from digitwin.connecting import connect
from digitwin.errors import InvalidStateError

TURNS = 20


async def main(url: str, tasks: int, options: dict[str, Any]) -> None:
    chance = random.Random(os.getpid())
    async with connect(url, migrate="skip") as db:
        sessions = db.for_user(options["user_id"]).sessions

        async def write() -> None:
            for _ in range(TURNS):
                if chance.random() < 0.3:
                    key = f"k{chance.randrange(100)}"
                    await sessions.add_turn(options["id"], user_text="key", idempotency_key=key)
                else:
                    await sessions.add_turn(options["id"], user_text="alone")
                    os.write(1, b"+")

        os.write(1, b"r")
        sys.stdin.readline()
        writers = [asyncio.create_task(write()) for _ in range(tasks)]
        for writer in chance.sample(writers, tasks // 5):
            await asyncio.sleep(0.05 * chance.random())
            writer.cancel()
        for outcome in await asyncio.gather(*writers, return_exceptions=True):
            if not isinstance(outcome, asyncio.CancelledError | InvalidStateError | None):
                raise outcome


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])))
