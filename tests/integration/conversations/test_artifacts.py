"""Recordings and files of a session: noted, read, and deleted with what they name."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from digitwin.conversations.repository import ConversationSessionRepository
from digitwin.database import Database
from digitwin.errors import (
    AlreadyExistsError,
    ConsentRequiredError,
    InvalidInputError,
    InvalidStateError,
    KeyUnavailableError,
    NotFoundError,
)
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, SessionArtifact, User
from digitwin.privacy.artifacts import Artifact
from tests.support.waiting import UntilWaiting

URI = "s3://calls/2026/ada-and-sam.ogg"
MOMENT = datetime(2026, 11, 30, 12, tzinfo=UTC)
QUEUED = "SELECT count(*) FROM artifact_deletions"


@pytest.fixture
async def consent(digitwin_db: Database, ada: User) -> None:
    await digitwin_db.consents.grant(ada.id, purpose="recording", evidence="said so")


async def test_what_is_given_comes_back(
    sessions: ConversationSessionRepository, session: ConversationSession, consent: None
) -> None:
    turn = await sessions.add_turn(session.id, user_text="Hello")
    given: dict[str, Any] = {
        "kind": "recording",
        "artifact_uri": URI,
        "checksum": "sha256:aa",
        "turn_id": turn.id,
        "content_type": "audio/ogg",
        "size_bytes": 2**40,
        "duration_ms": 93_000,
        "started_at": MOMENT,
        "metadata": {"channels": 2},
    }
    added = await sessions.add_artifact(session.id, **given)
    read = await sessions.get_artifact(added.id)
    for row in (added, read, *(await sessions.artifacts(session.id)).items):
        assert {name: getattr(row, name) for name in given} == given
        assert (row.session_id, row.user_id) == (session.id, session.user_id)


async def test_address_and_checksum_are_stored_encrypted(
    sessions: ConversationSessionRepository, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    await sessions.add_artifact(session.id, kind="file", artifact_uri=URI, checksum="sha256:aa")
    stored = str(await raw.fetchrow("SELECT * FROM session_artifacts"))
    assert "s3://" not in stored
    assert "sha256" not in stored


async def test_a_late_upload_is_noted_after_the_end(
    sessions: ConversationSessionRepository, session: ConversationSession, consent: None
) -> None:
    await sessions.end(session.id)
    await sessions.add_artifact(session.id, kind="video", artifact_uri=URI)
    assert len((await sessions.artifacts(session.id)).items) == 1


@pytest.mark.parametrize("kind", ["recording", "video"])
async def test_what_records_somebody_needs_consent(
    digitwin_db: Database, session: ConversationSession, ada: User, kind: Any
) -> None:
    add = digitwin_db.sessions.add_artifact
    with pytest.raises(ConsentRequiredError) as refused:
        await add(session.id, kind=kind, artifact_uri=URI)
    assert refused.value.details == {"purpose": "recording", "user_id": str(ada.id)}
    await digitwin_db.consents.grant(ada.id, purpose="voice", evidence="said so")
    with pytest.raises(ConsentRequiredError):
        await add(session.id, kind=kind, artifact_uri=URI)
    await digitwin_db.consents.grant(ada.id, purpose="recording", evidence="said so")
    kept = await add(session.id, kind=kind, artifact_uri=URI)
    await digitwin_db.consents.withdraw(ada.id, purpose="recording")
    with pytest.raises(ConsentRequiredError):
        await add(session.id, kind=kind, artifact_uri=URI)
    assert [row.id for row in (await digitwin_db.sessions.artifacts(session.id)).items] == [kept.id]


@pytest.mark.parametrize("kind", ["image", "file"])
async def test_other_kinds_need_none(
    sessions: ConversationSessionRepository, session: ConversationSession, kind: Any
) -> None:
    assert (await sessions.add_artifact(session.id, kind=kind, artifact_uri=URI)).kind == kind


async def test_a_withdrawal_waits_for_a_recording_that_is_being_noted(
    digitwin_db: Database,
    session: ConversationSession,
    ada: User,
    consent: None,
    until_waiting: UntilWaiting,
) -> None:
    begun = asyncio.Event()

    async def withdraw() -> None:
        await begun.wait()
        await digitwin_db.consents.withdraw(ada.id, purpose="recording")

    async with asyncio.TaskGroup() as tasks:
        withdrawing = tasks.create_task(withdraw())
        async with digitwin_db.transaction():
            await digitwin_db.sessions.add_artifact(session.id, kind="video", artifact_uri=URI)
            begun.set()
            await until_waiting()
            assert not withdrawing.done()
    with pytest.raises(ConsentRequiredError):
        await digitwin_db.sessions.add_artifact(session.id, kind="video", artifact_uri=URI)


async def test_a_renewed_consent_refuses_nobody(
    digitwin_db: Database, session: ConversationSession, ada: User, consent: None
) -> None:
    for n in range(10):
        await asyncio.gather(
            digitwin_db.consents.grant(ada.id, purpose="recording", evidence={"n": n}),
            digitwin_db.sessions.add_artifact(session.id, kind="recording", artifact_uri=URI),
            digitwin_db.consents.grant(ada.id, purpose="recording", evidence={"m": n}),
        )


async def test_pages_and_filters(
    sessions: ConversationSessionRepository, session: ConversationSession
) -> None:
    turn = await sessions.add_turn(session.id, user_text="Hello")
    given: Any = (("file", None), ("image", None), ("file", turn.id))
    ids = [
        (await sessions.add_artifact(session.id, kind=kind, artifact_uri=URI, turn_id=of)).id
        for kind, of in given
    ]
    first = await sessions.artifacts(session.id, limit=2)
    rest = await sessions.artifacts(session.id, limit=2, after=first.next_cursor)
    assert [row.id for row in (*first.items, *rest.items)] == ids
    assert (len(first.items), rest.next_cursor) == (2, None)
    chosen: Any = (
        ({"kind": "file"}, [ids[0], ids[2]]),
        ({"turn_id": turn.id}, [ids[2]]),
        ({"turn_id": None}, ids[:2]),
    )
    for filters, found in chosen:
        page = await sessions.artifacts(session.id, **filters)
        assert [row.id for row in page.items] == found


async def test_an_empty_session_is_told_from_a_missing_one(
    sessions: ConversationSessionRepository, session: ConversationSession
) -> None:
    assert (await sessions.artifacts(session.id)).items == []
    with pytest.raises(NotFoundError, match="session not found"):
        await sessions.artifacts(uuid7())


async def test_what_does_not_exist_is_named(
    sessions: ConversationSessionRepository, session: ConversationSession, ada: User
) -> None:
    other = await sessions.start(ada.id)
    elsewhere = await sessions.add_turn(other.id, user_text="Hello")
    for field, call in (
        ("session_id", sessions.add_artifact(uuid7(), kind="file", artifact_uri=URI)),
        (
            "session_id",
            sessions.add_artifact(uuid7(), user_id=ada.id, kind="file", artifact_uri=URI),
        ),
        (
            "turn_id",
            sessions.add_artifact(session.id, kind="file", artifact_uri=URI, turn_id=elsewhere.id),
        ),
        ("id", sessions.get_artifact(uuid7())),
        ("id", sessions.delete_artifact(uuid7())),
    ):
        with pytest.raises(NotFoundError) as missing:
            await call
        assert missing.value.details["field"] == field
    assert await sessions.find_artifact(uuid7()) is None


async def test_an_id_is_stored_once_and_a_transaction_goes_on(
    digitwin_db: Database, session: ConversationSession
) -> None:
    id = uuid7()
    async with digitwin_db.transaction():
        for n in range(2):
            add = digitwin_db.sessions.add_artifact(
                session.id, id=id, kind="file", artifact_uri=f"s3://{n}"
            )
            if n:
                with pytest.raises(AlreadyExistsError):
                    await add
            else:
                await add
    assert (await digitwin_db.sessions.get_artifact(id)).artifact_uri == "s3://0"


BAD: list[tuple[str, Any]] = [
    ("kind", "hologram"),
    ("artifact_uri", ""),
    ("artifact_uri", "s3://" + "x" * 2048),
    ("artifact_uri", None),
    ("checksum", "c" * 129),
    ("turn_id", "no id"),
    ("content_type", "t" * 101),
    ("size_bytes", -1),
    ("size_bytes", 2**63),
    ("duration_ms", 1.5),
    ("started_at", datetime(2026, 1, 1)),  # noqa: DTZ001
    ("metadata", ["no", "object"]),
    ("colour", "red"),
]


@pytest.mark.parametrize(("field", "value"), BAD)
async def test_what_does_not_fit_is_refused_by_name(
    sessions: ConversationSessionRepository, session: ConversationSession, field: str, value: Any
) -> None:
    given: Any = {"kind": "file", "artifact_uri": URI, field: value}
    with pytest.raises(InvalidInputError) as refused:
        await sessions.add_artifact(session.id, **given)
    assert refused.value.details["field"] == field
    assert (await sessions.artifacts(session.id)).items == []


async def test_others_find_nothing(
    digitwin_db: Database, session: ConversationSession, bob: User
) -> None:
    row = await digitwin_db.sessions.add_artifact(session.id, kind="file", artifact_uri=URI)
    theirs = digitwin_db.for_user(bob.id).sessions
    for call in (
        theirs.get_artifact(row.id),
        theirs.artifacts(session.id),
        theirs.delete_artifact(row.id),
        theirs.add_artifact(session.id, kind="file", artifact_uri=URI),
    ):
        with pytest.raises(NotFoundError):
            await call
    assert await theirs.find_artifact(row.id) is None


async def test_in_each_scope(
    digitwin_db: Database, session: ConversationSession, consent: None
) -> None:
    me = digitwin_db.for_user(session.user_id).sessions
    service = digitwin_db.for_service(reason="test").sessions
    for sessions in (me, service):
        row = await sessions.add_artifact(session.id, kind="recording", artifact_uri=URI)
        assert (await sessions.get_artifact(row.id)).artifact_uri == URI
        assert [a.id for a in (await sessions.artifacts(session.id)).items] == [row.id]
        await sessions.delete_artifact(row.id)
        assert await sessions.find_artifact(row.id) is None


async def test_it_is_hidden_with_its_session(
    digitwin_db: Database, session: ConversationSession, ada: User
) -> None:
    row = await digitwin_db.sessions.add_artifact(session.id, kind="file", artifact_uri=URI)
    await digitwin_db.users.delete(ada.id)
    assert await digitwin_db.sessions.find_artifact(row.id) is None
    for call in (
        digitwin_db.sessions.artifacts(session.id),
        digitwin_db.sessions.delete_artifact(row.id),
        digitwin_db.sessions.add_artifact(session.id, kind="file", artifact_uri=URI),
    ):
        with pytest.raises(NotFoundError):
            await call
    await digitwin_db.users.restore(ada.id)
    assert (await digitwin_db.sessions.get_artifact(row.id)).artifact_uri == URI


async def test_a_model_leaves_kind_and_address_to_the_repository(
    digitwin_db: Database, session: ConversationSession
) -> None:
    row = await digitwin_db.sessions.add_artifact(session.id, kind="file", artifact_uri=URI)
    row.metadata = {"seen": True}
    await row.save()
    read = await digitwin_db.sessions.get_artifact(row.id)
    assert (read.metadata, read.artifact_uri) == ({"seen": True}, URI)
    for field, value in (("kind", "recording"), ("artifact_uri", "s3://other")):
        setattr(read, field, value)
        with pytest.raises(InvalidStateError, match="add_artifact"):
            await read.save()
        read = await digitwin_db.sessions.get_artifact(row.id)
    with pytest.raises(InvalidStateError, match="add_artifact"):
        await SessionArtifact.create(
            user_id=row.user_id, session_id=session.id, kind="file", artifact_uri=URI
        )


async def test_one_that_cannot_be_read_comes_with_the_others(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    sessions = digitwin_db.sessions
    good = await sessions.add_artifact(session.id, kind="file", artifact_uri=URI)
    bad = await sessions.add_artifact(session.id, kind="file", artifact_uri=URI, checksum="c")
    await raw.execute("UPDATE session_artifacts SET artifact_uri = checksum WHERE id = $1", bad.id)
    first, second = (await sessions.artifacts(session.id)).items
    assert (first.id, first.artifact_uri, second.id) == (good.id, URI, bad.id)
    assert (second.unreadable, second.checksum) == (("artifact_uri",), "c")
    with pytest.raises(InvalidStateError, match="artifact_uri"):
        _ = second.artifact_uri
    with pytest.raises(InvalidStateError):
        await sessions.get_artifact(bad.id)
    with pytest.raises(InvalidStateError):
        await sessions.delete_artifact(bad.id)
    assert await raw.fetchval("SELECT count(*) FROM session_artifacts") == 2
    assert await raw.fetchval(QUEUED) == 0


async def test_a_destroyed_key_makes_it_unreadable(
    digitwin_db: Database, session: ConversationSession, ada: User
) -> None:
    row = await digitwin_db.sessions.add_artifact(session.id, kind="file", artifact_uri=URI)
    await digitwin_db.keys.destroy(ada.id)
    with pytest.raises(KeyUnavailableError):
        await digitwin_db.sessions.get_artifact(row.id)
    (listed,) = (await digitwin_db.sessions.artifacts(session.id)).items
    assert listed.unreadable == ("artifact_uri",)


async def test_a_deletion_is_told_to_the_hook_and_recorded(
    digitwin_db: Database, session: ConversationSession, consent: None
) -> None:
    asked: asyncio.Queue[Artifact] = asyncio.Queue()
    digitwin_db.privacy.on_artifact_delete(asked.put)
    row = await digitwin_db.sessions.add_artifact(session.id, kind="recording", artifact_uri=URI)
    await digitwin_db.sessions.delete_artifact(row.id)
    async with asyncio.timeout(8):
        artifact = await asked.get()
    assert (artifact.kind, artifact.address) == ("recording", URI)
    records = (await digitwin_db.audit.list(resource="session_artifact")).items
    assert [record.action for record in records] == [
        "session_artifact.hard_delete",
        "session_artifact.create",
    ]
    assert {record.resource_id for record in records} == {str(row.id)}
    assert "s3://" not in str([record.metadata for record in records])


async def test_a_deletion_that_is_rolled_back_queues_nothing(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    row = await digitwin_db.sessions.add_artifact(session.id, kind="file", artifact_uri=URI)
    with pytest.raises(RuntimeError):
        async with digitwin_db.transaction():
            await digitwin_db.sessions.delete_artifact(row.id)
            raise RuntimeError
    assert await raw.fetchval(QUEUED) == 0
    assert (await digitwin_db.sessions.get_artifact(row.id)).artifact_uri == URI


async def test_of_two_deletions_at_once_one_queues_it(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    for n in range(5):
        row = await digitwin_db.sessions.add_artifact(session.id, kind="file", artifact_uri=URI)
        ended = await asyncio.gather(
            *(digitwin_db.sessions.delete_artifact(row.id) for _ in range(4)),
            return_exceptions=True,
        )
        assert ended.count(None) == 1
        assert sum(isinstance(end, NotFoundError) for end in ended) == 3
        assert await raw.fetchval(QUEUED) == n + 1


async def test_a_deletion_opens_no_door_for_others(
    digitwin_db: Database, session: ConversationSession
) -> None:
    row = await digitwin_db.sessions.add_artifact(session.id, kind="file", artifact_uri=URI)
    async with digitwin_db.transaction():
        await digitwin_db.sessions.delete_artifact(row.id)
        allowed = "SELECT current_setting('digitwin.allow_hard_delete', true)"
        assert await digitwin_db._core.db.fetchval(allowed) == "off"
