"""A process that asks the limiter: ``python -m tests.integration.limits.worker URL TASKS OPTIONS``.

It says ``r`` when it is ready, waits for a line, and says ``+`` as soon as a call was allowed:
what it has said stays in the pipe, also when it is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from digitwin.connecting import connect


async def main(url: str, tasks: int, options: dict[str, Any]) -> None:
    async with connect(url, migrate="skip", pool_max=4, acquire_timeout=60) as db:

        async def ask() -> None:
            if await db.limits.consume("ada", "/chat", **options):
                os.write(1, b"+")

        os.write(1, b"r")
        sys.stdin.readline()
        await asyncio.gather(*(ask() for _ in range(tasks)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])))
