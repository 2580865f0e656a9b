"""A deletion is an event: who, what, when and why, and what became of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import AlreadyExistsError, InvalidInputError, InvalidStateError, NotFoundError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import (
    ConversationSession,
    Deletion,
    FaceModel,
    KnowledgeDocument,
    User,
    VoiceModel,
)
from tests.integration.users.conftest import belongings, create_child

DELETABLE = ("voices", "faces", "documents", "sessions")
RESOURCES = {
    "voices": "voice_model",
    "faces": "face_model",
    "documents": "document",
    "sessions": "session",
}
MODELS: dict[str, Any] = {
    "voices": VoiceModel,
    "faces": FaceModel,
    "documents": KnowledgeDocument,
    "sessions": ConversationSession,
}


async def events(db: Database, owner: UUID | None = None) -> list[Deletion]:
    return (await db.users.deletions(owner)).items


@pytest.mark.parametrize("kind", DELETABLE)
async def test_a_deletion_says_what_why_and_by_whom(
    digitwin_db: Database, ada: User, kind: str
) -> None:
    child, actor = await create_child(digitwin_db, kind, ada.id), uuid7()
    with digitwin_db.acting_as(actor_id=actor):
        await getattr(digitwin_db, kind).delete(child.id, reason="worn out")
    gone = await getattr(digitwin_db, kind).get(child.id, include_deleted=True)
    (event,) = await events(digitwin_db, ada.id)
    assert (event.user_id, event.id) == (ada.id, gone.deletion_id)
    assert (event.resource, event.resource_id) == (RESOURCES[kind], child.id)
    assert (event.reason, event.actor_id) == ("worn out", actor)
    assert event.deleted_at == gone.deleted_at
    assert event.restored_at is event.final_at is None


async def test_the_deletion_of_a_user_is_one_event(digitwin_db: Database, ada: User) -> None:
    for kind in DELETABLE:
        await create_child(digitwin_db, kind, ada.id)
    await digitwin_db.users.delete(ada.id, reason="asked to")
    (event,) = await events(digitwin_db)
    assert (event.resource, event.resource_id, event.reason) == ("user", ada.id, "asked to")
    for kind in DELETABLE:
        (row,) = await MODELS[kind].all_objects.all()
        assert row.deletion_id == event.id


@pytest.mark.parametrize("kind", DELETABLE)
async def test_a_models_own_deletion_is_an_event_too(
    digitwin_db: Database, ada: User, kind: str
) -> None:
    child, actor = await create_child(digitwin_db, kind, ada.id), uuid7()
    with digitwin_db.acting_as(actor_id=actor):
        await child.delete()
    (event,) = await events(digitwin_db, ada.id)
    assert (event.resource_id, event.actor_id) == (child.id, actor)


@pytest.mark.parametrize("kind", ["voices", "faces"])
async def test_a_querysets_deletion_is_one_event_of_each_owner(
    digitwin_db: Database, ada: User, bob: User, kind: str
) -> None:
    made = [await create_child(digitwin_db, kind, owner.id) for owner in (ada, ada, bob)]
    with digitwin_db.acting_as(actor_id=bob.id):
        assert await MODELS[kind].all().delete() == 3
    found = await events(digitwin_db)
    assert {(e.user_id, e.resource_id, e.resource, e.actor_id) for e in found} == {
        (row.user_id, row.id, RESOURCES[kind], bob.id) for row in (made[0], made[2])
    }
    await getattr(digitwin_db, kind).restore(made[1].id)
    assert {row.id for row in await MODELS[kind].all()} == {made[0].id, made[1].id}


async def test_no_deletion_without_its_event_and_no_event_without_its_deletion(
    digitwin_db: Database, raw: asyncpg.Connection, ada: User
) -> None:
    voice = await create_child(digitwin_db, "voices", ada.id)
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await digitwin_db.voices.delete(voice.id)
            raise ZeroDivisionError
    assert await events(digitwin_db) == []
    await raw.execute("ALTER TABLE deletions ADD CONSTRAINT ck_no CHECK (false)")
    for call in (digitwin_db.voices.delete, voice.delete, VoiceModel.all().delete):
        with pytest.raises(InvalidInputError):
            await (call(voice.id) if call == digitwin_db.voices.delete else call())
    with pytest.raises(InvalidInputError):
        await digitwin_db.users.delete(ada.id)
    assert await VoiceModel.all().count() == await User.all().count() == 1


@pytest.mark.parametrize("reason", ["", "x" * 501, "two\nlines", 7, "a\0"])
async def test_a_reason_that_does_not_fit_is_refused(
    digitwin_db: Database, ada: User, reason: Any
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await digitwin_db.users.delete(ada.id, reason=reason)
    assert error.value.details["field"] == "reason"
    assert await digitwin_db.users.exists()


async def test_deletions_come_in_pages_in_their_order(digitwin_db: Database, ada: User) -> None:
    made = [await create_child(digitwin_db, "voices", ada.id) for _ in range(5)]
    for voice in made:
        await digitwin_db.voices.delete(voice.id)
    seen, after = [], None
    while True:
        page = await digitwin_db.users.deletions(ada.id, limit=2, after=after)
        seen += [event.resource_id for event in page.items]
        if (after := page.next_cursor) is None:
            break
    assert seen == [voice.id for voice in made]


async def test_a_scope_lists_its_own(digitwin_db: Database, ada: User, bob: User) -> None:
    for owner in (ada, bob):
        voice = await create_child(digitwin_db, "voices", owner.id)
        await digitwin_db.for_user(owner.id).voices.delete(voice.id)
    scope = digitwin_db.for_user(ada.id)
    assert {event.user_id for event in (await scope.users.deletions()).items} == {ada.id}
    with pytest.raises(NotFoundError):
        await scope.users.deletions(bob.id)


@pytest.mark.parametrize("kind", DELETABLE)
async def test_a_restore_is_in_the_event(digitwin_db: Database, ada: User, kind: str) -> None:
    child = await create_child(digitwin_db, kind, ada.id)
    repository = getattr(digitwin_db, kind)
    for _ in range(2):
        await repository.delete(child.id)
        await repository.restore(child.id)
    first, second = await events(digitwin_db, ada.id)
    assert None not in (first.restored_at, second.restored_at)


async def test_each_restore_takes_its_own_deletion_back(digitwin_db: Database, ada: User) -> None:
    """A model first, then the user; the user comes back without it, and then the model does."""
    early = await create_child(digitwin_db, "voices", ada.id)
    late = await create_child(digitwin_db, "voices", ada.id)
    await digitwin_db.voices.delete(early.id)
    await digitwin_db.users.delete(ada.id)
    for voice in (early, late):
        with pytest.raises(InvalidStateError):
            await digitwin_db.voices.restore(voice.id)
    await digitwin_db.users.restore(ada.id)
    assert (await belongings(digitwin_db, ada.id)).voices == [late.id]
    first, second = await events(digitwin_db, ada.id)
    assert (first.restored_at, second.restored_at is None) == (None, False)
    await digitwin_db.voices.restore(early.id)
    assert (await belongings(digitwin_db, ada.id)).voices == [early.id, late.id]


async def test_a_restore_that_is_in_the_way_changes_nothing(
    digitwin_db: Database, ada: User
) -> None:
    await digitwin_db.users.delete(ada.id)
    await digitwin_db.users.create(email=ada.email, name="Another")
    with pytest.raises(AlreadyExistsError):
        await digitwin_db.users.restore(ada.id)
    (event,) = await events(digitwin_db, ada.id)
    assert event.restored_at is None


async def test_a_session_still_knows_its_models(digitwin_db: Database, ada: User) -> None:
    voice = await create_child(digitwin_db, "voices", ada.id)
    face = await create_child(digitwin_db, "faces", ada.id)
    session = await digitwin_db.sessions.start(
        ada.id, voice_model_id=voice.id, face_model_id=face.id
    )
    await digitwin_db.voices.delete(voice.id)
    await digitwin_db.users.delete(ada.id)
    await digitwin_db.users.restore(ada.id)
    await digitwin_db.voices.restore(voice.id)
    seen = await digitwin_db.sessions.get(session.id)
    assert (seen.voice_model_id, seen.face_model_id) == (voice.id, face.id)


async def test_a_real_deletion_ends_the_event(digitwin_db: Database, ada: User) -> None:
    voice = await create_child(digitwin_db, "voices", ada.id)
    await digitwin_db.voices.delete(voice.id)
    await digitwin_db.voices.hard_delete(voice.id)
    (event,) = await events(digitwin_db, ada.id)
    assert event.final_at is not None
