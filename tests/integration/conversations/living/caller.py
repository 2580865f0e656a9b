"""A process that opens a turn, extends it, and waits to be killed."""

from __future__ import annotations

import asyncio
import sys

import digitwin


async def main(url: str, session_id: str) -> None:
    async with digitwin.connect(url) as db:
        turn = await db.sessions.open_turn(session_id, user_text="Hel")
        await db.sessions.extend_turn(turn.id, session_id=session_id, user_text="lo?")
        print("extended", flush=True)
        await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
