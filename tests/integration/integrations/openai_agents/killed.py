"""A process whose agent asks a tool, until it is killed."""

from __future__ import annotations

import asyncio
import sys

from agents import Runner, set_tracing_disabled

from digitwin.connecting import connect
from digitwin.integrations.openai_agents import AgentSession
from tests.integration.integrations.openai_agents.scripts import Weather, calls, twin


class Slow(Weather):
    async def looks(self) -> None:
        print("asked", flush=True)
        await asyncio.Event().wait()


async def main(url: str, owner: str) -> None:
    set_tracing_disabled(True)
    async with connect(url, migrate="skip") as db:
        session = AgentSession(db, user_id=owner, session_id="chat")
        await Runner.run(twin([calls()], Slow()), "Weather?", session=session)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
