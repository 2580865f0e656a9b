"""Something to try things with: two users and what their twins remember."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from digitwin.consents.fields import Purpose
from digitwin.conversations.fields import NewTurn
from digitwin.database import Database
from digitwin.seeding.data import ADA, AUDIT, BEN, DOCUMENTS, FACES, SESSIONS, USERS, VOICES, Row

__all__ = ["ADA", "BEN", "Seeded", "seed"]


@dataclass(slots=True)
class Seeded:
    """How many rows a run added; a run that finds all of them adds none."""

    users: int = 0
    voice_models: int = 0
    face_models: int = 0
    documents: int = 0
    sessions: int = 0
    turns: int = 0
    audit_logs: int = 0


async def seed(db: Database) -> Seeded:
    """Make sure that the two users and all that is theirs are there, as on every run; atomic.

    What is there stays as it is; what was deleted is restored.

    Raises:
        AlreadyExistsError: somebody else has one of the two e-mails.
    """
    async with db.transaction():
        users = await _ensured(db.users, USERS)
        await _agreed(db)
        return Seeded(
            users=users,
            voice_models=await _ensured(db.voices, VOICES),
            face_models=await _ensured(db.faces, FACES),
            documents=await _ensured(db.documents, DOCUMENTS),
            **await _with_sessions(db),
            audit_logs=sum([await _recorded(db, entry) for entry in AUDIT]),
        )


async def _ensured(repository: Any, rows: list[Row]) -> int:
    """How many of these rows had to be made."""
    made = 0
    for row in rows:
        found = await repository.find(row["id"], include_deleted=True)
        if found is None:
            await repository.create(**row)
            made += 1
        elif found.deleted_at is not None:
            await repository.restore(row["id"])
    return made


async def _agreed(db: Database) -> None:
    """Ada has agreed to the voice and the face that she shows."""
    purposes: tuple[Purpose, ...] = ("voice", "face")
    for purpose in purposes:
        if await db.consents.in_force(ADA, purpose=purpose) is None:
            await db.consents.grant(ADA, purpose=purpose, evidence={"form": "made up"})


async def _with_sessions(db: Database) -> dict[str, int]:
    made = [turns for session, turns in SESSIONS if await _started(db, session, turns)]
    return {"sessions": len(made), "turns": sum(map(len, made))}


async def _started(db: Database, session: Row, turns: list[NewTurn]) -> bool:
    if await db.sessions.find(session["id"]) is not None:
        return False
    await db.sessions.start(**session)
    await db.sessions.add_turns(session["id"], turns)
    await db.sessions.end(session["id"])
    return True


async def _recorded(db: Database, entry: Row) -> bool:
    known = {name: entry[name] for name in ("action", "resource_id", "user_id")}
    if (await db.audit.list(limit=1, **known)).items:
        return False
    await db.audit.record(**entry)
    return True
