"""Ada, of whom something is held in every table, and Bob, whose data nobody may touch."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from digitwin import Participant
from digitwin.database import Database
from digitwin.privacy.export import Export
from tests.support.contents import furnish_turn

ARTIFACT = "s3://likeness/ada-lovelace-voice-7f3a.bin"
FACE = "s3://likeness/ada-lovelace-face-91cc.bin"
SAID = "My grandmother's orchard was in Ockham"
HEARD = "The orchard in Ockham has two hundred trees"
TAUGHT = "The analytical engine weaves algebraic patterns"
ASKED = "How do I get to the difference engine at noon?"
LOOKED_UP = "route from Ockham to the difference engine"
QUOTED = "The engine weaves patterns as the loom weaves leaves"
STRINGS = (
    *("ada.lovelace@example.com", "Ada Augusta Lovelace", ARTIFACT, FACE, SAID, HEARD, TAUGHT),
    *(ASKED, "loves <b>looms</b> & punchcards", "passport-1815", LOOKED_UP, QUOTED),
)
"""What must be nowhere when Ada is gone."""


class Person(NamedTuple):
    """Whose data it is, and the session in which she is spoken to."""

    id: UUID
    session: UUID
    voice: UUID


async def fill(db: Database, email: str = STRINGS[0], name: str = STRINGS[1]) -> Person:
    """Somebody with a row in every table."""
    user = await db.users.create(
        email=email, name=name, personality_traits=[STRINGS[8]], settings={"passport": STRINGS[9]}
    )
    voice = await db.voices.create(user_id=user.id, name="Warm", artifact_uri=ARTIFACT)
    await db.faces.create(user_id=user.id, name="Kind", artifact_uri=FACE, checksum="sha256:aa")
    deleted = await db.documents.create(user_id=user.id, title="Old notes", content=TAUGHT)
    await db.documents.delete(deleted.id)
    await db.documents.create(user_id=user.id, title="Notes on the engine", content=TAUGHT)
    sam = Participant("guest", "web-81f3", "Sam", ["asks about orchards"])
    session = await db.sessions.start(user.id, participant=sam, voice_model_id=voice.id)
    turn = await db.sessions.add_turn(
        session.id, user_text=SAID, twin_text=HEARD, timings={"asr_ms": 80}
    )
    await furnish_turn(db, turn.id, tool_argument=LOOKED_UP, quote=QUOTED)
    await db.memories.put(("interests",), "engine", {"why": TAUGHT}, user_id=user.id)
    await db.cache.embeddings.set("orchard", [0.5, 0.25], user_id=user.id)
    await db.cache.searches.set("orchard", [{"text": TAUGHT}], user_id=user.id)
    await db.cache.responses.set("orchard", HEARD, user_id=user.id, audience="visitor")
    assert await db.limits.consume(user.id, "/talk", limit=9, window=60)
    await db.limits.usage()
    await db.audit.record(
        "user.call", "user", user_id=user.id, actor_id=user.id, ip_address="192.0.2.7"
    )
    return Person(user.id, session.id, voice.id)


async def visit(db: Database, owner: UUID, visitor: UUID) -> UUID:
    """Let one person talk to another's twin; the session's id."""
    them = Participant("user", str(visitor), STRINGS[1])
    session = await db.sessions.start(owner, participant=them)
    turn = await db.sessions.add_turn(session.id, user_text=ASKED, twin_text=f"You asked: {ASKED}")
    await furnish_turn(db, turn.id, tool_argument=ASKED)
    return session.id


@pytest.fixture
async def ada(digitwin_db: Database) -> Person:
    return await fill(digitwin_db)


@pytest.fixture
async def bob(digitwin_db: Database) -> Person:
    return await fill(digitwin_db, "bob@example.com", "Robert Boole")


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Return once it is so, which nothing tells of but to ask."""
    async with asyncio.timeout(8):
        while not await true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Archive:
    """An export that was read to its end."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self.zip = zipfile.ZipFile(io.BytesIO(data))
        assert self.zip.testzip() is None

    def text(self, name: str) -> str:
        return self.zip.read(name).decode()

    def json(self, name: str) -> Any:
        return json.loads(self.text(name))

    def rows(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text(name).splitlines()]


async def read(export: Export) -> Archive:
    return Archive(b"".join([chunk async for chunk in export]))
