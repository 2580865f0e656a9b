"""Example data: two users and their twins' data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from digitwin.consents.fields import Purpose
from digitwin.conversations.content.fields import NewItem
from digitwin.conversations.fields import NewTurn
from digitwin.database import Database
from digitwin.seeding.data import (
    ADA,
    AUDIT,
    BEN,
    DOCUMENTS,
    FACES,
    ITEMS,
    SESSIONS,
    USERS,
    VOICES,
    Row,
)

__all__ = ["ADA", "BEN", "Seeded", "seed"]


@dataclass(slots=True)
class Seeded:
    """Rows that a run added, by table; a repeated run adds none."""

    users: int = 0
    voice_models: int = 0
    face_models: int = 0
    documents: int = 0
    sessions: int = 0
    turns: int = 0
    audit_logs: int = 0


async def seed(db: Database) -> Seeded:
    """Add the example users and their data; idempotent and atomic.

    Existing rows are not changed; deleted ones are restored.

    Returns:
        How many rows were added.

    Raises:
        AlreadyExistsError: another user has one of the two e-mail addresses.
    """
    async with db.transaction():
        users = await _ensure(db.users, USERS)
        await _grant_consents(db)
        return Seeded(
            users=users,
            voice_models=await _ensure(db.voices, VOICES),
            face_models=await _ensure(db.faces, FACES),
            documents=await _ensure(db.documents, DOCUMENTS),
            **await _ensure_sessions(db),
            audit_logs=sum([await _ensure_audited(db, entry) for entry in AUDIT]),
        )


async def _ensure(repository: Any, rows: list[Row]) -> int:
    """Create or restore missing rows; return how many were created."""
    made = 0
    for row in rows:
        found = await repository.find(row["id"], include_deleted=True)
        if found is None:
            await repository.create(**row)
            made += 1
        elif found.deleted_at is not None:
            await repository.restore(row["id"])
    return made


async def _grant_consents(db: Database) -> None:
    """Grant the consents that Ada's active voice and face require."""
    purposes: tuple[Purpose, ...] = ("voice", "face")
    for purpose in purposes:
        if await db.consents.in_force(ADA, purpose=purpose) is None:
            await db.consents.grant(ADA, purpose=purpose, evidence={"form": "example data"})


async def _ensure_sessions(db: Database) -> dict[str, int]:
    made = [turns for session, turns in SESSIONS if await _ensure_session(db, session, turns)]
    return {"sessions": len(made), "turns": sum(map(len, made))}


async def _ensure_session(db: Database, session: Row, turns: list[NewTurn]) -> bool:
    if await db.sessions.find(session["id"]) is not None:
        return False
    await db.sessions.start(**session)
    for position, turn in enumerate(turns, 1):
        await _hold_turn(db, session, turn, ITEMS.get((session["id"], position), ()))
    await db.sessions.end(session["id"])
    return True


async def _hold_turn(db: Database, session: Row, turn: NewTurn, items: Sequence[NewItem]) -> None:
    """Record a turn as it would happen: opened by the question, closed by the answer."""
    of: Row = {"session_id": session["id"], "user_id": session["user_id"]}
    opened = await db.sessions.open_turn(**of, user_text=turn.get("user_text"), language="en")
    await db.sessions.close_turn(
        opened.id,
        **of,
        status="interrupted" if turn.get("interrupted") else "completed",
        items=items,
        twin_text=turn.get("twin_text"),
        heard_text=turn.get("heard_text"),
        timings=turn.get("timings"),
        usage=turn.get("usage"),
    )


async def _ensure_audited(db: Database, entry: Row) -> bool:
    known = {name: entry[name] for name in ("action", "resource_id", "user_id")}
    if (await db.audit.list(limit=1, **known)).items:
        return False
    await db.audit.record(**entry)
    return True
