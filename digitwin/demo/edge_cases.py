"""Scenes of hard cases: concurrent writers, deletion and restore, rate limiting, audit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar
from uuid import UUID

from digitwin.database import Database
from digitwin.demo.people import ENDPOINT, People
from digitwin.demo.scene import Scene
from digitwin.errors import RateLimitedError

T = TypeVar("T")

WRITERS = 50
BURST = 3


async def crowd(people: People, scene: Scene) -> None:
    """Fifty concurrent writers; positions have no gaps and no duplicates."""
    sessions, owner = people.db.sessions, people.scratch_user.id
    session = await sessions.start(owner)

    async def write(n: int) -> int:
        turn = await sessions.add_turn(session.id, user_id=owner, user_text=f"writer {n}")
        return turn.position

    positions = await scene.call("sessions.add_turn", _all(write(n) for n in range(WRITERS)))
    scene.tick(
        f"{WRITERS} concurrent writers on one session: positions 1 to {WRITERS} without a gap",
        sorted(positions) == list(range(1, WRITERS + 1)),
    )
    loaded = await scene.call("sessions.with_turns", sessions.with_turns(session.id, user_id=owner))
    held = len(list(loaded.turns))
    scene.tick(
        f"The session counts {loaded.turn_count} turns and holds {held}",
        loaded.turn_count == held == WRITERS,
    )
    scene.store(f"conversation_turns: {WRITERS} rows, until the demo ends")


async def deletion(people: People, scene: Scene) -> None:
    """A soft delete hides a person and their data; a restore brings back the same rows."""
    db, owner = people.db, people.owner
    before = await _belongings(db, owner.id)
    await _audited(people, scene, "user.delete", db.users.delete)
    try:
        unseen = await db.users.find(owner.id) is None and not await _belongings(db, owner.id)
        scene.tick(f"{owner.name} is deleted, {len(before)} of her rows are hidden", unseen)
    finally:
        await _audited(people, scene, "user.restore", db.users.restore)
    same = await _belongings(db, owner.id) == before
    scene.tick(f"Restored: {owner.name} and the same {len(before)} rows, by id", same)
    scene.store("users: deletion_id marked the deleted rows, and is cleared again")


async def _audited(
    people: People, scene: Scene, action: str, change: Callable[[UUID], Awaitable[object]]
) -> None:
    """Make a change with the owner as the actor of its audit record."""
    with people.db.acting_as(actor_id=people.owner.id):
        await scene.call(action.replace("user", "users"), change(people.owner.id))


async def _belongings(db: Database, owner: UUID) -> frozenset[UUID]:
    pages = (
        await db.voices.list(user_id=owner, limit=1000),
        await db.faces.list(user_id=owner, limit=1000),
        await db.documents.list(user_id=owner, limit=1000),
        await db.sessions.list(user_id=owner, limit=1000),
    )
    return frozenset(row.id for page in pages for row in page.items)


async def spent(people: People, scene: Scene) -> None:
    """A used-up limit refuses and says when to retry."""
    limits, subject = people.db.limits, f"{people.subject}:burst"
    await limits.reset(subject, ENDPOINT)

    async def ask() -> bool:
        return (await limits.consume(subject, ENDPOINT, limit=BURST, window=60)).allowed

    admitted = await scene.call("limits.consume", _all(ask() for _ in range(10)))
    scene.tick(
        f"Of 10 concurrent requests, a limit of {BURST} admits {BURST}", sum(admitted) == BURST
    )
    wait = 0.0
    try:
        await scene.call(
            "limits.require", limits.require(subject, ENDPOINT, limit=BURST, window=60)
        )
    except RateLimitedError as refused:
        wait = refused.decision.retry_after
    scene.tick(f"The next one is refused: retry in {wait:.0f} s", 0 < wait <= 60)
    await limits.reset(subject, ENDPOINT)


async def trail(people: People, scene: Scene) -> None:
    """Changes are recorded in the audit trail, and it verifies."""
    audit = people.db.audit
    since = people.session.started_at
    page = await scene.call("audit.list", audit.list(user_id=people.owner.id, since=since))
    actions = [record.action for record in reversed(page.items) if record.action != "session.start"]
    scene.tick(
        f"Recorded in this order: {', '.join(actions)}",
        actions == ["document.search", "session.end", "user.delete", "user.restore"],
    )
    seen = await scene.call("audit.verify", audit.verify())
    scene.tick(f"{seen.records} records verified: seals and guards are intact", seen.ok)
    for record in page.items:
        what = f"{record.action} · {record.result} · {record.resource} {record.resource_id or ''}"
        scene.store(f"audit_logs: {record.created_at:%H:%M:%S} {what}")


async def _all(work: Iterable[Awaitable[T]]) -> list[T]:
    return list(await asyncio.gather(*work))
