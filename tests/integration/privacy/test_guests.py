"""A guest without a ref has no lasting name: they are erased and exported by their session."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

import digitwin
from digitwin import Participant
from digitwin.database import Database
from digitwin.errors import InvalidInputError, InvalidStateError, NotFoundError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession
from digitwin.testing import DatabaseFactory
from tests.integration.privacy.conftest import read
from tests.integration.privacy.programs import programs_of, restored, run

SAID = "I was here once, and never again"


async def meet(db: Database, n: int = 0) -> ConversationSession:
    owner = await db.users.create(email=f"owner{n}@example.com", name="Owner")
    guest = Participant("guest", name="Gone Tomorrow")
    session = await db.sessions.start(owner.id, participant=guest)
    await db.sessions.add_turn(session.id, user_text=SAID)
    return session


def ways(session: ConversationSession) -> dict[str, Any]:
    return {"session_id": session.id, "participant_id": session.participant_id}


@pytest.fixture(params=["session_id", "participant_id"])
def by(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


async def test_they_are_erased_and_nobody_else(
    digitwin_db: Database, by: str, raw: asyncpg.Connection
) -> None:
    session, other = await meet(digitwin_db), await meet(digitwin_db, 1)
    receipt = await digitwin_db.privacy.erase_participant(**{by: ways(session)[by]}, reason="x")
    assert (receipt.subject, receipt.counts["participants"]) == ("participant", 1)
    assert receipt.counts["conversation_turns"] == 1
    for id, text in ((session.id, ""), (other.id, SAID)):
        (turn,) = (await digitwin_db.sessions.with_turns(id)).turns
        assert turn.user_text == text
    assert await raw.fetchval("SELECT count(*) FROM participants") == 1
    for id in (session.id, session.participant_id):
        assert str(id) not in str(receipt)
    (record,) = (await digitwin_db.audit.list(action="participant.erase")).items
    assert record.resource_id == str(receipt.id)


async def test_a_second_call_returns_the_receipt(digitwin_db: Database, by: str) -> None:
    session = await meet(digitwin_db)
    named = {by: ways(session)[by]}
    erase = partial(digitwin_db.privacy.erase_participant, **named, reason="x")
    assert await erase() == await erase()


async def test_they_are_exported(digitwin_db: Database, by: str) -> None:
    session = await meet(digitwin_db)
    await meet(digitwin_db, 1)
    named = {by: ways(session)[by]}
    archive = await read(digitwin_db.privacy.export_participant(**named))
    (turn,) = archive.rows("data/conversation_turns.ndjson")
    (known,) = archive.rows("data/participants.ndjson")
    assert (turn["user_text"], known["name"]) == (SAID, "Gone Tomorrow")
    assert archive.json("manifest.json")["about"] == {by: str(named[by])}
    assert "data/rate_limits.ndjson" not in archive.json("manifest.json")["rows"]


async def test_one_with_a_ref_is_named_by_it(digitwin_db: Database, by: str) -> None:
    owner = await digitwin_db.users.create(email="owner@example.com", name="Owner")
    sam = Participant("guest", "web-sam")
    session = await digitwin_db.sessions.start(owner.id, participant=sam)
    named = {by: ways(session)[by]}
    with pytest.raises(InvalidStateError, match="by kind and ref"):
        await digitwin_db.privacy.erase_participant(**named, reason="x")
    with pytest.raises(InvalidStateError, match="by kind and ref"):
        await read(digitwin_db.privacy.export_participant(**named))
    assert (await digitwin_db.privacy.receipts()).items == []


async def test_nobody_is_not_found(digitwin_db: Database, by: str) -> None:
    owner = await digitwin_db.users.create(email="owner@example.com", name="Owner")
    alone = await digitwin_db.sessions.start(owner.id)
    for id in (uuid7(), alone.id):
        with pytest.raises(NotFoundError) as missing:
            await digitwin_db.privacy.erase_participant(**{by: id}, reason="x")
        assert missing.value.details["field"] == by


TOO_MANY: list[tuple[str, dict[str, Any]]] = [
    ("kind", {}),
    ("kind", {"session_id": uuid7(), "kind": "guest"}),
    ("ref", {"participant_id": uuid7(), "ref": "web-sam"}),
    ("session_id", {"session_id": uuid7(), "participant_id": uuid7()}),
    ("session_id", {"session_id": "no id"}),
    ("participant_id", {"participant_id": UUID(int=0)}),
    ("ref", {"kind": "guest"}),
]


@pytest.mark.parametrize(("field", "given"), TOO_MANY)
async def test_one_way_to_name_them(
    digitwin_db: Database, field: str, given: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await digitwin_db.privacy.erase_participant(**given, reason="x")
    assert refused.value.details["field"] == field
    with pytest.raises(InvalidInputError):
        digitwin_db.privacy.export_participant(**given)


async def test_a_backup_does_not_bring_them_back(
    digitwin_db_factory: DatabaseFactory, tmp_path: Path
) -> None:
    ledger, backup = tmp_path / "ledger.jsonl", tmp_path / "twins.dump"
    db = await digitwin_db_factory(erasure_ledger=ledger)
    sessions = [await meet(db, n) for n in range(3)]
    await run(
        *(await programs_of(db) / "pg_dump", "--format=custom"),
        *(f"--file={backup}", db._target.url),
    )
    for session, by in zip(sessions, ("session_id", "participant_id"), strict=False):
        await db.privacy.erase_participant(**{by: ways(session)[by]}, reason="x")
    settings = {"erasure_ledger": ledger, "migrate": "skip"}
    async with (
        restored(db, backup) as goal,
        digitwin.connect(goal.url, **settings) as again,
    ):
        report = await again.privacy.replay()
        assert (report.entries, report.users, report.participants) == (2, 0, 2)
        said = [(await again.sessions.with_turns(s.id)).turns[0].user_text for s in sessions]
        assert said == ["", "", SAID]
        assert (await again.privacy.replay()).participants == 0
