"""A process that asks for one entry: ``python -m tests.integration.cache.worker URL OPTIONS``.

It says ``r`` when it is ready, waits for a line, then has ``tasks`` tasks ask at once. Its factory
says ``f``, takes ``seconds`` and fails if told to; a task says ``v`` when it has the value and
``x`` when it is given the factory's error.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from digitwin.connecting import connect

VALUE = {"answer": [1, 2, 3]}


async def main(
    url: str, *, tasks: int = 1, seconds: float = 0.2, fails: bool = False, **settings: Any
) -> None:
    settings = {"pool_max": 4, "acquire_timeout": 60, **settings}
    async with connect(url, migrate="skip", **settings) as db:

        async def factory() -> object:
            os.write(1, b"f")
            await asyncio.sleep(seconds)
            if fails:
                raise RuntimeError("no model")
            return VALUE

        async def ask() -> None:
            try:
                assert await db.cache.responses.get_or_create("key", factory) == VALUE
            except RuntimeError:
                os.write(1, b"x")
            else:
                os.write(1, b"v")

        os.write(1, b"r")
        await asyncio.to_thread(sys.stdin.readline)
        await asyncio.gather(*(ask() for _ in range(tasks)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], **json.loads(sys.argv[2])))
