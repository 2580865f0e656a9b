"""A process that is killed while it records a turn, and what is there afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Final

from digitwin.connecting import connect
from digitwin.demo.people import ANSWER, HEARD, QUESTION, People
from digitwin.demo.scene import Scene

SOON: Final = 0.001
"""Seconds after which the demo's maintenance closes an open turn; a service waits longer."""


async def crash(people: People, scene: Scene) -> None:
    """A process is killed within a turn; the turn is there, and maintenance closes it."""
    db, owner = people.db, people.scratch_user.id
    session = await db.sessions.start(owner)
    home = str(db.settings.home)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "digitwin.demo.crash", home, str(owner), str(session.id)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    code = await process.wait()
    scene.tick("A process records a turn and is killed (kill -9)", code == -signal.SIGKILL)
    reading = db.sessions.with_turns(session.id, user_id=owner)
    [turn] = (await scene.call("sessions.with_turns", reading)).turns
    said = (turn.user_text, turn.twin_text)
    scene.tick(
        f"Its turn is {turn.status}, with what was said: “{turn.twin_text}”",
        turn.status == "open" and said == (QUESTION, HEARD),
    )
    report = await db.maintain()
    [turn] = (await db.sessions.with_turns(session.id, user_id=owner)).turns
    scene.tick(
        "maintain() closes it as abandoned, at its last sign of life",
        report.turns_abandoned >= 1
        and (turn.status, turn.ended_at is not None) == ("abandoned", True),
    )
    going_on = db.sessions.add_turn(session.id, user_id=owner, user_text=QUESTION, twin_text=ANSWER)
    turn = await scene.call("sessions.add_turn", going_on)
    scene.tick(f"The conversation goes on with turn {turn.position}", turn.position == 2)
    scene.store("conversation_turns: status abandoned, ended_at, and its words")


async def _record(home: str, owner: str, session: str) -> None:
    """Record the beginning of a turn, and be killed."""
    async with connect(embedded="always", home=home) as db:
        turn = await db.sessions.open_turn(session, user_id=owner, user_text=QUESTION)
        await db.sessions.extend_turn(turn.id, session_id=session, user_id=owner, twin_text=HEARD)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(_record(*sys.argv[1:]))
