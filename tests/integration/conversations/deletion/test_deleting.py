"""A deleted session is hidden with everything in it, comes back as it was, or goes for good."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import AlreadyExistsError, InvalidInputError, InvalidStateError, NotFoundError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, User
from digitwin.users.retention import DeletionRetention
from tests.integration.conversations.deletion.conftest import CONTENTS, Talk


async def rows_in(raw: asyncpg.Connection, session: UUID) -> dict[str, list[Any]]:
    """Everything that is stored of a session, by table."""
    found = {
        table: await raw.fetch(f"SELECT * FROM {table} WHERE session_id = $1 ORDER BY id", session)
        for table in CONTENTS
    }
    return {table: [dict(row) for row in rows] for table, rows in found.items()}


async def test_a_restore_brings_everything_back_as_it_was(
    digitwin_db: Database, raw: asyncpg.Connection, gone: Talk
) -> None:
    before = await rows_in(raw, gone.session)
    assert all(before.values())
    session = await digitwin_db.sessions.get(gone.session)
    await digitwin_db.sessions.delete(gone.session, reason="asked to")
    restored = await digitwin_db.sessions.restore(gone.session)
    assert await rows_in(raw, gone.session) == before
    assert (restored.deleted_at, restored.deletion_id) == (None, None)
    assert (restored.turn_count, restored.external_id) == (session.turn_count, "gone")
    assert len((await digitwin_db.sessions.with_turns(gone.session)).turns) == 1


async def test_an_active_session_ends_and_stays_ended(digitwin_db: Database, gone: Talk) -> None:
    sessions = digitwin_db.sessions
    await sessions.delete(gone.session)
    deleted = await sessions.get(gone.session, include_deleted=True)
    assert (deleted.status, deleted.end_reason) == ("ended", "deleted")
    assert deleted.ended_at == deleted.deleted_at
    restored = await sessions.restore(gone.session)
    assert (restored.status, restored.ended_at) == ("ended", deleted.ended_at)


async def test_an_end_before_the_deletion_is_kept(digitwin_db: Database, gone: Talk) -> None:
    sessions = digitwin_db.sessions
    ended = await sessions.end(gone.session, reason="hung up")
    await sessions.delete(gone.session)
    deleted = await sessions.get(gone.session, include_deleted=True)
    assert (deleted.ended_at, deleted.end_reason) == (ended.ended_at, "hung up")


async def test_a_hard_deletion_leaves_nothing(
    digitwin_db: Database, raw: asyncpg.Connection, gone: Talk, kept: Talk
) -> None:
    await digitwin_db.sessions.hard_delete(gone.session)
    assert not any((await rows_in(raw, gone.session)).values())
    assert all((await rows_in(raw, kept.session)).values())
    assert await digitwin_db.sessions.find(gone.session, include_deleted=True) is None
    with pytest.raises(NotFoundError):
        await digitwin_db.sessions.restore(gone.session)


@pytest.mark.parametrize("deleted_before", [False, True])
async def test_a_hard_deletion_queues_what_is_kept_elsewhere(
    digitwin_db: Database, raw: asyncpg.Connection, gone: Talk, kept: Talk, deleted_before: bool
) -> None:
    for id in (gone.session, kept.session):
        await digitwin_db.sessions.add_artifact(id, kind="recording", artifact_uri=f"s3://{id}")
    if deleted_before:
        await digitwin_db.sessions.delete(gone.session)
    assert await raw.fetchval("SELECT count(*) FROM artifact_deletions") == 0
    await digitwin_db.sessions.hard_delete(gone.session)
    assert await raw.fetchval("SELECT count(*) FROM artifact_deletions") == 1


async def test_a_final_deletion_queues_it_too(
    digitwin_db: Database, raw: asyncpg.Connection, ada: User, gone: Talk, kept: Talk
) -> None:
    for id in (gone.session, kept.session):
        await digitwin_db.sessions.add_artifact(id, kind="recording", artifact_uri=f"s3://{id}")
    await digitwin_db.sessions.delete(gone.session)
    hooks = (digitwin_db.privacy.before_final,)
    assert await DeletionRetention(digitwin_db._core, digitwin_db.cache, hooks).make_final(0) == 1
    assert not any((await rows_in(raw, gone.session)).values())
    assert await raw.fetchval("SELECT count(*) FROM artifact_deletions") == 1


@pytest.mark.parametrize("include_deleted", [False, True])
async def test_reads_include_it_where_they_are_asked_to(
    digitwin_db: Database, gone: Talk, kept: Talk, include_deleted: bool
) -> None:
    sessions = digitwin_db.sessions
    await sessions.delete(gone.session)
    asked: Any = {"include_deleted": include_deleted}
    found = {gone.session, kept.session} if include_deleted else {kept.session}
    assert {row.id for row in (await sessions.list(**asked)).items} == found
    assert {row.id async for row in sessions.stream(**asked)} == found
    assert await sessions.count(**asked) == len(found)
    assert await sessions.exists(external_id="gone", **asked) is include_deleted
    assert (await sessions.find(gone.session, **asked) is not None) is include_deleted


@pytest.mark.parametrize("scoped", [False, True])
async def test_nothing_is_written_into_it(
    digitwin_db: Database, ada: User, gone: Talk, scoped: bool
) -> None:
    sessions = (digitwin_db.for_user(ada.id) if scoped else digitwin_db).sessions
    await sessions.add_turn(gone.session, user_text="Yes", idempotency_key="k")
    await sessions.delete(gone.session)
    id, turn = gone
    for call in (
        sessions.add_turn(id, user_text="Still?"),
        sessions.add_turn(id, user_text="Yes", idempotency_key="k"),
        sessions.add_turns(id, [{"user_text": "Still?"}]),
        sessions.amend_turn(turn, session_id=id, twin_text="Yes"),
        sessions.open_turn(id, user_text="Still?"),
        sessions.extend_turn(turn, session_id=id, twin_text="Yes"),
        sessions.close_turn(turn, session_id=id),
        sessions.add_usage(session_id=id, kind="llm", output_tokens=1),
        sessions.end(id),
        sessions.reopen(id),
        sessions.update(id, metadata={"a": 1}),
        sessions.add_artifact(id, kind="file", artifact_uri="s3://x"),
        sessions.with_turns(id),
        sessions.turns(id),
        sessions.artifacts(id),
        sessions.delete(id),
    ):
        with pytest.raises(NotFoundError):
            await call


async def test_it_is_not_counted(digitwin_db: Database, gone: Talk, kept: Talk) -> None:
    await digitwin_db.sessions.delete(gone.session)
    found = await digitwin_db.sessions.statistics()
    assert (found.sessions, found.turns) == (1, 1)


@pytest.mark.parametrize("method", ["delete", "restore", "hard_delete"])
@pytest.mark.parametrize("id", ["", "x", 5, None, b"\x00" * 16, UUID(int=0)])
async def test_an_id_is_an_id(digitwin_db: Database, method: str, id: Any) -> None:
    with pytest.raises(InvalidInputError):
        await getattr(digitwin_db.sessions, method)(id)


async def test_what_is_not_there_is_not_found(digitwin_db: Database, gone: Talk) -> None:
    sessions = digitwin_db.sessions
    for method in (sessions.delete, sessions.restore, sessions.hard_delete):
        with pytest.raises(NotFoundError):
            await method(uuid7())
    with pytest.raises(NotFoundError):
        await sessions.restore(gone.session)


async def test_a_name_taken_meanwhile_refuses_the_restore_and_says_by_whom(
    digitwin_db: Database, ada: User, gone: Talk
) -> None:
    sessions = digitwin_db.sessions
    await sessions.delete(gone.session)
    new = await sessions.start(ada.id, external_id="gone")
    async with digitwin_db.transaction():
        with pytest.raises(AlreadyExistsError) as refused:
            await sessions.restore(gone.session)
        assert refused.value.details == {"field": "external_id", "id": str(new.id)}
        await sessions.update(new.id, external_id=None)
        assert (await sessions.restore(gone.session)).external_id == "gone"


async def test_any_number_of_deleted_sessions_have_one_name(
    digitwin_db: Database, ada: User
) -> None:
    for _ in range(3):
        session, started = await digitwin_db.sessions.start_or_get(ada.id, external_id="chat")
        assert started
        await digitwin_db.sessions.delete(session.id)
    rows = digitwin_db.sessions.stream(include_deleted=True, external_id="chat")
    assert len([row async for row in rows]) == 3


async def test_a_queryset_deletes_as_one_deletion(
    digitwin_db: Database, gone: Talk, kept: Talk
) -> None:
    rows: Any = ConversationSession
    assert await rows.all().delete() == 2
    (event,) = (await digitwin_db.users.deletions()).items
    assert event.resource == "session"
    found = [row async for row in digitwin_db.sessions.stream(include_deleted=True)]
    assert {(row.deletion_id, row.status, row.end_reason) for row in found} == {
        (event.id, "ended", "deleted")
    }
    await digitwin_db.sessions.restore(gone.session)
    assert await digitwin_db.sessions.count() == 2


async def test_a_user_comes_back_with_what_was_theirs_and_no_more(
    digitwin_db: Database, ada: User, gone: Talk, kept: Talk
) -> None:
    await digitwin_db.sessions.delete(gone.session)
    await digitwin_db.users.delete(ada.id)
    with pytest.raises(InvalidStateError):
        await digitwin_db.sessions.restore(gone.session)
    await digitwin_db.users.restore(ada.id)
    assert [row.id async for row in digitwin_db.sessions.stream()] == [kept.session]
    assert (await digitwin_db.sessions.get(kept.session)).end_reason == "user_deleted"
    assert (await digitwin_db.sessions.restore(gone.session)).end_reason == "deleted"
