"""A person goes with all that is theirs, and comes back with exactly that."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import AlreadyExistsError, InvalidStateError, NotFoundError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import User
from digitwin.testing import DatabaseFactory
from digitwin.users.repository import UserRepository
from tests.integration.users.conftest import CHILDREN, belongings, create_child

OWNED = ("voice_models", "face_models", "knowledge_documents", "conversation_sessions")
STORES = ("embeddings", "searches", "responses")


async def deletion_ids(raw: asyncpg.Connection, owner: User) -> set[Any]:
    """Under which deletions the person and all that is theirs are; None is alive."""
    queries = ["SELECT deletion_id FROM users WHERE id = $1"]
    queries += [f"SELECT deletion_id FROM {table} WHERE user_id = $1" for table in OWNED]
    rows = await raw.fetch(" UNION ALL ".join(queries), owner.id)
    return {row["deletion_id"] for row in rows}


async def fill_cache(db: Database, owner: User) -> None:
    await db.cache.embeddings.set("k", [1.0], user_id=owner.id)
    await db.cache.searches.set("k", ["hit"], user_id=owner.id, audience="visitor")
    await db.cache.responses.set("k", "yes", user_id=owner.id)


async def cached(db: Database, owner: User) -> list[str]:
    """The stores that still know something of this person."""
    found = []
    for store in STORES:
        for audience in ("owner", "visitor"):
            if await getattr(db.cache, store).get("k", user_id=owner.id, audience=audience):
                found.append(store)
    return found


async def rows_of(raw: asyncpg.Connection, owner: User) -> dict[str, int]:
    """The person's rows in every table that has any of theirs, the audit trail apart."""
    tables = await raw.fetch(
        "SELECT c.table_name AS name FROM information_schema.columns c"
        " JOIN information_schema.tables t USING (table_schema, table_name)"
        " WHERE c.table_schema = 'public' AND c.column_name = 'user_id'"
        " AND t.table_type = 'BASE TABLE' AND c.table_name NOT LIKE 'audit_logs%'"
    )
    assert len(tables) >= 10
    found = {"users": await raw.fetchval("SELECT count(*) FROM users WHERE id = $1", owner.id)}
    for table in tables:
        count = f"SELECT count(*) FROM {table['name']} WHERE user_id = $1"
        found[table["name"]] = await raw.fetchval(count, owner.id)
    return {table: count for table, count in found.items() if count}


@pytest.fixture
async def owner(digitwin_db: Database, ada: User) -> User:
    """Ada, with two of everything."""
    for kind in CHILDREN * 2:
        await create_child(digitwin_db, kind, ada.id)
    return ada


async def test_the_deleted_are_hidden(users: UserRepository, ada: User) -> None:
    await users.delete(ada.id)
    assert await users.find(ada.id) is None
    for call in (users.get, users.delete):
        with pytest.raises(NotFoundError) as error:
            await call(ada.id)
        assert error.value.details["field"] == "id"


async def test_a_deletion_takes_everything_along_under_one_id(
    digitwin_db: Database, raw: asyncpg.Connection, owner: User
) -> None:
    await digitwin_db.users.delete(owner.id)
    (deletion,) = await deletion_ids(raw, owner)
    assert deletion is not None
    assert await belongings(digitwin_db, owner.id) == ([], [], [], [])


async def test_a_deletion_moves_the_version_of_all_it_takes(
    digitwin_db: Database, owner: User
) -> None:
    (voice, *_) = (await digitwin_db.voices.list(user_id=owner.id)).items
    await digitwin_db.users.delete(owner.id)
    gone = await digitwin_db.voices.get(voice.id, include_deleted=True)
    assert gone.version == voice.version + 1
    assert gone.updated_at == gone.deleted_at
    person = await digitwin_db.users.get(owner.id, include_deleted=True)
    assert (person.version, person.updated_at) == (owner.version + 1, person.deleted_at)


@pytest.mark.parametrize("kind", CHILDREN)
async def test_nothing_of_the_deleted_is_found(digitwin_db: Database, ada: User, kind: str) -> None:
    child = await create_child(digitwin_db, kind, ada.id)
    await digitwin_db.users.delete(ada.id)
    repository = getattr(digitwin_db, kind)
    assert await repository.find(child.id) is None
    assert await repository.count() == 0


async def test_a_deletion_ends_open_sessions_and_says_why(digitwin_db: Database, ada: User) -> None:
    opened = await digitwin_db.sessions.start(ada.id)
    ended = await digitwin_db.sessions.start(ada.id)
    ended = await digitwin_db.sessions.end(ended.id, reason="hung_up")
    await digitwin_db.users.delete(ada.id)
    await digitwin_db.users.restore(ada.id)
    seen = await digitwin_db.sessions.get(opened.id)
    assert (seen.status, seen.end_reason) == ("ended", "user_deleted")
    assert seen.ended_at is not None
    kept = await digitwin_db.sessions.get(ended.id)
    assert (kept.end_reason, kept.ended_at) == ("hung_up", ended.ended_at)


async def test_no_turn_joins_a_session_that_a_deletion_ended(
    digitwin_db_factory: DatabaseFactory,
) -> None:
    db = await digitwin_db_factory(late_turns=0)
    ada = await db.users.create(email="late@example.com", name="Ada")
    session = await db.sessions.start(ada.id)
    await db.users.delete(ada.id)
    with pytest.raises((NotFoundError, InvalidStateError)):
        await db.sessions.add_turn(session.id, user_text="Still there?")
    await db.users.restore(ada.id)
    with pytest.raises(InvalidStateError):
        await db.sessions.add_turn(session.id, user_text="Still there?")


async def test_turns_are_seen_again_after_a_restore(digitwin_db: Database, ada: User) -> None:
    session = await digitwin_db.sessions.start(ada.id)
    await digitwin_db.sessions.add_turn(session.id, user_text="Hello")
    await digitwin_db.users.delete(ada.id)
    with pytest.raises(NotFoundError):
        await digitwin_db.sessions.with_turns(session.id)
    await digitwin_db.users.restore(ada.id)
    loaded = await digitwin_db.sessions.with_turns(session.id)
    assert [turn.user_text for turn in loaded.turns] == ["Hello"]


async def test_others_keep_what_is_theirs(
    digitwin_db: Database, raw: asyncpg.Connection, owner: User, bob: User
) -> None:
    for kind in CHILDREN:
        await create_child(digitwin_db, kind, bob.id)
    before = await belongings(digitwin_db, bob.id)
    await digitwin_db.users.delete(owner.id)
    assert await belongings(digitwin_db, bob.id) == before
    assert await deletion_ids(raw, bob) == {None}


async def test_a_deletion_drops_what_was_cached_of_that_person(
    digitwin_db: Database, raw: asyncpg.Connection, ada: User, bob: User
) -> None:
    for person in (ada, bob):
        await fill_cache(digitwin_db, person)
    await digitwin_db.users.delete(ada.id)
    assert await cached(digitwin_db, ada) == []
    assert await cached(digitwin_db, bob) == list(STORES)
    assert await rows_of(raw, ada) == {"users": 1, "deletions": 1}


async def test_a_restore_brings_no_cached_entry_back(digitwin_db: Database, ada: User) -> None:
    await fill_cache(digitwin_db, ada)
    await digitwin_db.users.delete(ada.id)
    await digitwin_db.users.restore(ada.id)
    assert await cached(digitwin_db, ada) == []


@pytest.mark.parametrize("method", ["delete", "hard_delete"])
async def test_a_deletion_that_is_rolled_back_drops_nothing(
    digitwin_db: Database, raw: asyncpg.Connection, owner: User, method: str
) -> None:
    await fill_cache(digitwin_db, owner)
    before = await rows_of(raw, owner)
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await getattr(digitwin_db.users, method)(owner.id)
            raise ZeroDivisionError
    assert await cached(digitwin_db, owner) == list(STORES)
    assert await rows_of(raw, owner) == before
    assert await deletion_ids(raw, owner) == {None}
    assert (await digitwin_db.users.get_by_email(owner.email)).id == owner.id


async def test_nobody_reads_from_the_cache_once_a_deletion_is_committed(
    digitwin_db: Database, ada: User
) -> None:
    await fill_cache(digitwin_db, ada)
    async with digitwin_db.transaction():
        await digitwin_db.users.delete(ada.id)
        assert await cached(digitwin_db, ada) == list(STORES)  # others still see the person
    assert await cached(digitwin_db, ada) == []


async def test_a_restore_brings_back_the_same_rows(
    digitwin_db: Database, raw: asyncpg.Connection, owner: User
) -> None:
    before = await belongings(digitwin_db, owner.id)
    await digitwin_db.users.delete(owner.id)
    restored = await digitwin_db.users.restore(owner.id)
    assert (restored.id, restored.email, restored.name) == (owner.id, owner.email, owner.name)
    assert (restored.deleted_at, restored.deletion_id) == (None, None)
    assert restored.version == owner.version + 2
    assert await belongings(digitwin_db, owner.id) == before
    assert await deletion_ids(raw, owner) == {None}
    assert vars(await digitwin_db.users.get(owner.id)) == vars(restored)


@pytest.mark.parametrize("kind", CHILDREN)
async def test_what_was_deleted_before_stays_deleted(
    digitwin_db: Database, ada: User, kind: str
) -> None:
    repository = getattr(digitwin_db, kind)
    kept, gone = [await create_child(digitwin_db, kind, ada.id) for _ in range(2)]
    await repository.delete(gone.id)
    before = await repository.get(gone.id, include_deleted=True)
    await digitwin_db.users.delete(ada.id)
    await digitwin_db.users.restore(ada.id)
    assert [row.id async for row in repository.stream()] == [kept.id]
    assert vars(await repository.get(gone.id, include_deleted=True)) == vars(before)
    assert (await repository.restore(gone.id)).id == gone.id


async def test_a_restored_person_is_found_by_e_mail(users: UserRepository, ada: User) -> None:
    await users.delete(ada.id)
    await users.restore(ada.id)
    assert (await users.get_by_email("ADA@example.com")).id == ada.id


async def test_a_person_can_go_and_come_back_again(digitwin_db: Database, owner: User) -> None:
    before = await belongings(digitwin_db, owner.id)
    for _ in range(3):
        await digitwin_db.users.delete(owner.id)
        await digitwin_db.users.restore(owner.id)
    assert await belongings(digitwin_db, owner.id) == before


async def test_a_restore_with_a_taken_e_mail_says_who_has_it_and_changes_nothing(
    digitwin_db: Database, raw: asyncpg.Connection, owner: User
) -> None:
    users = digitwin_db.users
    await users.delete(owner.id)
    other = await users.create(email="ADA@example.com", name="Other")
    before = await deletion_ids(raw, owner)
    with pytest.raises(AlreadyExistsError) as error:
        await users.restore(owner.id)
    assert error.value.details["field"] == "email"
    assert error.value.details["user_id"] == str(other.id)
    assert await users.find(owner.id) is None
    assert await deletion_ids(raw, owner) == before
    assert await belongings(digitwin_db, owner.id) == ([], [], [], [])
    assert (await users.get_by_email(owner.email)).id == other.id


async def test_a_refused_restore_leaves_the_transaction_around_it_usable(
    digitwin_db: Database, ada: User
) -> None:
    await digitwin_db.users.delete(ada.id)
    await digitwin_db.users.create(email=ada.email, name="Other")
    async with digitwin_db.transaction():
        with pytest.raises(AlreadyExistsError):
            await digitwin_db.users.restore(ada.id)
        await digitwin_db.users.create(email="new@example.com", name="New")
    assert await digitwin_db.users.count() == 2
    assert await digitwin_db.users.find(ada.id) is None


async def test_a_restore_works_once_the_e_mail_is_free_again(
    users: UserRepository, ada: User
) -> None:
    await users.delete(ada.id)
    other = await users.create(email=ada.email, name="Other")
    await users.update(other.id, email="other@example.com")
    assert (await users.restore(ada.id)).email == ada.email


async def test_restoring_who_lives_or_never_was_is_not_found(
    users: UserRepository, ada: User
) -> None:
    for id in (ada.id, uuid7()):
        with pytest.raises(NotFoundError) as error:
            await users.restore(id)
        assert error.value.details["field"] == "id"
    assert vars(await users.get(ada.id)) == vars(ada)


async def test_who_never_was_cannot_be_deleted(users: UserRepository) -> None:
    for call in (users.delete, users.hard_delete):
        with pytest.raises(NotFoundError):
            await call(uuid7())


@pytest.mark.parametrize("deleted", [False, True])
async def test_a_hard_deletion_removes_every_row_of_that_person(
    digitwin_db: Database, raw: asyncpg.Connection, owner: User, bob: User, deleted: bool
) -> None:
    session = (await digitwin_db.sessions.list(user_id=owner.id)).items[0]
    await digitwin_db.sessions.add_turn(session.id, user_text="Hello")
    await fill_cache(digitwin_db, owner)
    assert len(await rows_of(raw, owner)) >= 10
    if deleted:
        await digitwin_db.users.delete(owner.id)
    await digitwin_db.users.hard_delete(owner.id)
    assert await rows_of(raw, owner) == {}
    assert await cached(digitwin_db, owner) == []
    assert [user.id async for user in digitwin_db.users.stream(include_deleted=True)] == [bob.id]


async def test_a_hard_deletion_cannot_be_taken_back(users: UserRepository, ada: User) -> None:
    await users.hard_delete(ada.id)
    for call in (users.restore, users.hard_delete, users.delete):
        with pytest.raises(NotFoundError):
            await call(ada.id)
    assert await users.find(ada.id, include_deleted=True) is None


async def test_a_hard_deletion_frees_e_mail_and_id(users: UserRepository, ada: User) -> None:
    await users.hard_delete(ada.id)
    again = await users.create(id=ada.id, email=ada.email, name="Ada")
    assert (await users.get_by_email(ada.email)).id == again.id


async def test_a_hard_deletion_leaves_the_audit_trail(digitwin_db: Database, ada: User) -> None:
    await digitwin_db.users.hard_delete(ada.id)
    records = await digitwin_db.audit.list(user_id=ada.id)
    assert [record.action for record in records.items] == ["user.hard_delete", "user.create"]


async def test_a_hard_deletion_opens_no_door_for_what_follows_in_its_transaction(
    digitwin_db: Database, ada: User, bob: User
) -> None:
    with pytest.raises(InvalidStateError):
        async with digitwin_db.transaction():
            await digitwin_db.users.hard_delete(ada.id)
            await digitwin_db._core.db.execute("DELETE FROM users WHERE id = $1", bob.id)
    assert await digitwin_db.users.count() == 2
