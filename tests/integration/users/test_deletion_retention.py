"""After its time a deletion is final: what it hid is gone, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import InvalidStateError, NotFoundError
from digitwin.models import ConversationTurn, Deletion, User
from digitwin.settings import Settings
from digitwin.testing import DatabaseFactory
from digitwin.users.retention import DeletionRetention
from tests.integration.users.conftest import CHILDREN, ROUNDS, belongings, create_child
from tests.integration.users.test_deletion import rows_of


@pytest.fixture
def retention(digitwin_db: Database) -> DeletionRetention:
    return DeletionRetention(digitwin_db._core, digitwin_db.cache)


async def test_thirty_days_are_the_default() -> None:
    assert Settings().deletion_retention == 30 * 86_400


@pytest.mark.parametrize("kind", CHILDREN)
async def test_the_maintenance_makes_a_deletion_final(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, kind: str
) -> None:
    db = await digitwin_db_factory(digitwin_url, deletion_retention=0.001)
    ada = await db.users.create(email="ada@example.com", name="Ada")
    gone, kept = [await create_child(db, kind, ada.id) for _ in range(2)]
    await getattr(db, kind).delete(gone.id)
    await db._core.db.execute("UPDATE deletions SET deleted_at = deleted_at - interval '1 s'")
    assert (await db.maintain()).final_deletions == 1
    with pytest.raises(NotFoundError):
        await getattr(db, kind).restore(gone.id)
    assert await getattr(db, kind).find(gone.id, include_deleted=True) is None
    assert await getattr(db, kind).find(kept.id) is not None
    (event,) = (await db.users.deletions()).items
    assert event.final_at is not None
    assert (await db.maintain()).final_deletions == 0


async def test_a_deletion_within_its_time_is_left_alone(
    digitwin_db: Database, ada: User, retention: DeletionRetention
) -> None:
    voice = await create_child(digitwin_db, "voices", ada.id)
    await digitwin_db.voices.delete(voice.id)
    assert await retention.make_final(60) == 0
    await digitwin_db.voices.restore(voice.id)
    assert await retention.make_final(0) == 0
    assert (await belongings(digitwin_db, ada.id)).voices == [voice.id]


async def test_a_user_goes_with_everything(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    ada: User,
    bob: User,
    retention: DeletionRetention,
) -> None:
    for kind in CHILDREN:
        await create_child(digitwin_db, kind, ada.id)
    session = await create_child(digitwin_db, "sessions", ada.id)
    await digitwin_db.sessions.add_turn(session.id, user_text="Hi")
    await digitwin_db.users.delete(ada.id)
    assert await retention.make_final(0) == 1
    assert await rows_of(raw, ada) == {}
    assert await ConversationTurn.all_objects.all().count() == 0
    with pytest.raises(NotFoundError):
        await digitwin_db.users.restore(ada.id)
    assert await digitwin_db.users.exists(email=bob.email)


async def test_only_what_that_deletion_hid_goes(
    digitwin_db: Database, ada: User, retention: DeletionRetention
) -> None:
    """The user's deletion was taken back; that of a model before it was not."""
    early, late = [await create_child(digitwin_db, "voices", ada.id) for _ in range(2)]
    session = await digitwin_db.sessions.start(ada.id, voice_model_id=early.id)
    await digitwin_db.voices.delete(early.id)
    await digitwin_db.users.delete(ada.id)
    await digitwin_db.users.restore(ada.id)
    assert await retention.make_final(0) == 1
    assert (await belongings(digitwin_db, ada.id)).voices == [late.id]
    assert (await digitwin_db.sessions.get(session.id)).voice_model_id is None
    assert await digitwin_db.voices.find(early.id, include_deleted=True) is None


async def test_what_is_kept_elsewhere_is_told_first(digitwin_db: Database, ada: User) -> None:
    told = []

    async def note(user_id: UUID, deletion_id: UUID) -> None:
        told.append((user_id, deletion_id))
        assert await digitwin_db.voices.find(voice.id, include_deleted=True) is not None

    voice = await create_child(digitwin_db, "voices", ada.id)
    await digitwin_db.voices.delete(voice.id)
    assert await DeletionRetention(digitwin_db._core, digitwin_db.cache, [note]).make_final(0) == 1
    (event,) = (await digitwin_db.users.deletions()).items
    assert told == [(ada.id, event.id)]


async def test_a_deletion_whose_last_word_fails_is_not_final(
    digitwin_db: Database, ada: User
) -> None:
    async def fail(user_id: UUID, deletion_id: UUID) -> None:
        raise ZeroDivisionError

    voice = await create_child(digitwin_db, "voices", ada.id)
    await digitwin_db.voices.delete(voice.id)
    with pytest.raises(ZeroDivisionError):
        await DeletionRetention(digitwin_db._core, digitwin_db.cache, [fail]).make_final(0)
    assert (await digitwin_db.voices.restore(voice.id)).id == voice.id


async def test_what_was_cached_meanwhile_goes(
    digitwin_db: Database, ada: User, retention: DeletionRetention
) -> None:
    await digitwin_db.users.delete(ada.id)
    await digitwin_db.cache.responses.set("k", "yes", user_id=ada.id)
    assert await retention.make_final(0) == 1
    assert await digitwin_db.cache.responses.get("k", user_id=ada.id) is None


async def test_several_instances_share_the_work(
    digitwin_url: str, digitwin_db: Database, ada: User, digitwin_db_factory: DatabaseFactory
) -> None:
    for _ in range(30):
        voice = await create_child(digitwin_db, "voices", ada.id)
        await digitwin_db.voices.delete(voice.id)
    others = [await digitwin_db_factory(digitwin_url) for _ in range(3)]
    done = await asyncio.gather(
        *(DeletionRetention(db._core, db.cache).make_final(0) for db in others)
    )
    rest = await DeletionRetention(digitwin_db._core, digitwin_db.cache).make_final(0)
    assert sum(done) + rest == 30


@pytest.mark.parametrize("kind", [*CHILDREN, "users"])
async def test_a_restore_at_the_same_moment_wins_or_finds_nothing(
    digitwin_db: Database, ada: User, retention: DeletionRetention, kind: str
) -> None:
    repository: Any = getattr(digitwin_db, kind)
    for n in range(ROUNDS):
        if kind == "users":
            row: Any = await digitwin_db.users.create(email=f"u{n}@example.com", name="U")
        else:
            row = await create_child(digitwin_db, kind, ada.id)
        await repository.delete(row.id)
        final, restored = await asyncio.gather(
            retention.make_final(0), repository.restore(row.id), return_exceptions=True
        )
        lives = await repository.find(row.id) is not None
        if lives:
            assert final == 0
        else:
            assert isinstance(restored, NotFoundError)
            await retention.make_final(0)
            assert await repository.find(row.id, include_deleted=True) is None


async def test_deletions_of_every_kind_at_once_end_well(
    digitwin_db: Database, retention: DeletionRetention
) -> None:
    for n in range(ROUNDS):
        user = await digitwin_db.users.create(email=f"u{n}@example.com", name="U")
        voices = [await create_child(digitwin_db, "voices", user.id) for _ in range(3)]
        for voice in (*voices, *voices):
            await digitwin_db.sessions.start(user.id, voice_model_id=voice.id)
        await digitwin_db.voices.delete(voices[0].id)
        ended = await asyncio.gather(
            retention.make_final(0),
            digitwin_db.voices.delete(voices[1].id),
            digitwin_db.voices.restore(voices[0].id),
            digitwin_db.users.delete(user.id) if n % 2 else digitwin_db.users.hard_delete(user.id),
            return_exceptions=True,
        )
        for error in ended:
            assert not isinstance(error, BaseException) or isinstance(
                error, NotFoundError | InvalidStateError
            ), error
    await retention.make_final(0)
    assert await User.all_objects.all().count() == 0
    assert await Deletion.all().count() == 0
