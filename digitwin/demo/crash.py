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
from digitwin.models import ConversationTurn

SOON: Final = 0.001
"""Seconds after which the demo's maintenance closes an open turn; a service waits longer."""


async def crash(people: People, scene: Scene) -> None:
    """A recorder's process is killed within a turn: what it wrote is there, once."""
    db, owner = people.db, people.scratch_user.id
    session = await db.sessions.start(owner)
    home = str(db.settings.home)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "digitwin.demo.crash", home, str(owner), str(session.id)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    code = await process.wait()
    scene.tick("A process records a turn and is killed (kill -9)", code == -signal.SIGKILL)
    reading = db.sessions.with_turns(session.id, user_id=owner, items=True)
    [turn] = (await scene.call("sessions.with_turns", reading)).turns
    scene.tick(
        f"What it had written is there, once: “{turn.twin_text}”",
        (turn.user_text, turn.twin_text) == (QUESTION, HEARD),
    )
    [called] = turn.items
    scene.tick(
        f"So is its call of {called.name}, which got no result; the turn is {turn.status}",
        (called.kind, turn.status) == ("tool_call", "open"),
    )
    await _afterwards(people, scene, turn)
    scene.store("conversation_turns: status abandoned, ended_at, and its words")


async def _afterwards(people: People, scene: Scene, left: ConversationTurn) -> None:
    """Maintenance closes the turn, and another process goes on."""
    db, owner, session = people.db, people.scratch_user.id, left.session_id
    report = await scene.call("db.maintain", db.maintain())
    [turn] = (await db.sessions.with_turns(session, user_id=owner)).turns
    scene.tick(
        "maintain() closes it as abandoned, at its last sign of life",
        report.turns_abandoned >= 1
        and (turn.status, turn.ended_at) == ("abandoned", left.updated_at),
    )
    async with db.recorder(session, user_id=owner) as recorder:
        recorder.user_text(QUESTION)
        recorder.twin_text(ANSWER)
    reading = db.sessions.with_turns(session, user_id=owner, limit=1)
    [turn] = (await scene.call("sessions.with_turns", reading)).turns
    scene.tick(
        f"Another recorder goes on with turn {turn.position}",
        (turn.position, turn.status, turn.twin_text) == (2, "completed", ANSWER),
    )


async def _record(home: str, owner: str, session: str) -> None:
    """Record the beginning of a turn, and be killed before its end is written."""
    async with (
        connect(embedded="always", home=home) as db,
        db.recorder(session, user_id=owner) as recorder,
    ):
        recorder.user_text(QUESTION)
        recorder.tool_call("oven_plan", {"day": "Saturday"})
        recorder.twin_text(HEARD)
        await recorder.drain()
        recorder.twin_text(" at nine")  # the process ends before its next batch
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(_record(*sys.argv[1:]))
