"""Nothing is born under somebody who is being deleted, whoever comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from contextvars import Context
from typing import Any

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import AlreadyExistsError, InvalidStateError, NotFoundError
from digitwin.models import User
from digitwin.testing import DatabaseFactory
from tests.integration.users.conftest import CHILDREN, ROUNDS, belongings, create_child
from tests.support.waiting import UntilWaiting

ORPHANS = """
    SELECT count(*) FROM users u JOIN (
        SELECT user_id, deleted_at FROM voice_models
        UNION ALL SELECT user_id, deleted_at FROM face_models
        UNION ALL SELECT user_id, deleted_at FROM knowledge_documents
        UNION ALL SELECT user_id, deleted_at FROM conversation_sessions
    ) child ON child.user_id = u.id
    WHERE (u.deleted_at IS NULL) <> (child.deleted_at IS NULL)
"""
"""Rows that live under a deleted person, or are deleted under a living one."""


async def orphans(raw: asyncpg.Connection) -> int:
    count: int = await raw.fetchval(ORPHANS)
    return count


def beside(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Start work that is not part of the transaction around it."""
    return asyncio.create_task(work, context=Context())


async def outcome(work: Awaitable[Any]) -> Any:
    """What a call gave, or how it was refused."""
    try:
        return await work
    except (AlreadyExistsError, InvalidStateError, NotFoundError) as error:
        return error


async def create_many(db: Database, kind: str, owner: User) -> Any:
    fields = {"title": "T", "content": "C"} if kind == "documents" else {"name": "Warm"}
    rows = [{"user_id": owner.id, **fields} for _ in range(3)]
    return await getattr(db, kind).create_many(rows)


@pytest.mark.parametrize("method", ["delete", "hard_delete"])
@pytest.mark.parametrize("kind", CHILDREN)
async def test_a_child_waits_for_an_open_deletion_and_is_refused(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    ada: User,
    kind: str,
    method: str,
    until_waiting: UntilWaiting,
) -> None:
    async with digitwin_db.transaction():
        await getattr(digitwin_db.users, method)(ada.id)
        child = beside(outcome(create_child(digitwin_db, kind, ada.id)))
        await until_waiting()
    refused = await child
    assert isinstance(refused, NotFoundError)
    assert refused.details["field"] == "user_id"
    assert await getattr(digitwin_db, kind).count() == 0
    assert await orphans(raw) == 0


@pytest.mark.parametrize("kind", ["voices", "faces", "documents"])
async def test_many_children_wait_for_an_open_deletion_and_are_refused(
    digitwin_db: Database, ada: User, kind: str, until_waiting: UntilWaiting
) -> None:
    async with digitwin_db.transaction():
        await digitwin_db.users.delete(ada.id)
        children = beside(outcome(create_many(digitwin_db, kind, ada)))
        await until_waiting()
    assert isinstance(await children, NotFoundError)
    assert await getattr(digitwin_db, kind).count(include_deleted=True) == 0


@pytest.mark.parametrize("kind", CHILDREN)
async def test_a_restore_of_a_child_waits_for_an_open_deletion_and_is_refused(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    ada: User,
    kind: str,
    until_waiting: UntilWaiting,
) -> None:
    repository = getattr(digitwin_db, kind)
    child = await create_child(digitwin_db, kind, ada.id)
    await repository.delete(child.id)
    async with digitwin_db.transaction():
        await digitwin_db.users.delete(ada.id)
        restore = beside(outcome(repository.restore(child.id)))
        await until_waiting()
    assert isinstance(await restore, InvalidStateError)
    assert await orphans(raw) == 0


async def test_a_turn_waits_for_an_open_deletion_and_is_refused(
    digitwin_db: Database, raw: asyncpg.Connection, ada: User, until_waiting: UntilWaiting
) -> None:
    session = await digitwin_db.sessions.start(ada.id)
    async with digitwin_db.transaction():
        await digitwin_db.users.delete(ada.id)
        turn = beside(outcome(digitwin_db.sessions.add_turn(session.id, user_text="Hello")))
        await until_waiting()
    assert isinstance(await turn, (InvalidStateError, NotFoundError))
    assert await raw.fetchval("SELECT count(*) FROM conversation_turns") == 0


@pytest.mark.parametrize("kind", CHILDREN)
async def test_a_child_goes_on_when_the_deletion_is_rolled_back(
    digitwin_db: Database, ada: User, kind: str, until_waiting: UntilWaiting
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await digitwin_db.users.delete(ada.id)
            child = beside(create_child(digitwin_db, kind, ada.id))
            await until_waiting()
            raise ZeroDivisionError
    created = await child
    assert (await getattr(digitwin_db, kind).get(created.id)).user_id == ada.id


@pytest.mark.parametrize("method", ["delete", "hard_delete"])
@pytest.mark.parametrize("kind", CHILDREN)
async def test_a_deletion_waits_for_an_open_creation_and_takes_it_along(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    ada: User,
    kind: str,
    method: str,
    until_waiting: UntilWaiting,
) -> None:
    async with digitwin_db.transaction():
        child = await create_child(digitwin_db, kind, ada.id)
        deletion = beside(getattr(digitwin_db.users, method)(ada.id))
        await until_waiting()
    await deletion
    assert await getattr(digitwin_db, kind).find(child.id) is None
    assert await orphans(raw) == 0
    if method == "delete":
        await digitwin_db.users.restore(ada.id)
        assert (await getattr(digitwin_db, kind).get(child.id)).user_id == ada.id


@pytest.mark.parametrize("kind", CHILDREN)
async def test_a_deletion_among_creations_leaves_no_orphan(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    digitwin_url: str,
    digitwin_db_factory: DatabaseFactory,
    kind: str,
) -> None:
    other = await digitwin_db_factory(digitwin_url, pool_max=6)
    for n in range(ROUNDS // 2):
        owner = await digitwin_db.users.create(email=f"{n}@example.com", name="N")
        creations = [outcome(create_child(other, kind, owner.id)) for _ in range(4)]
        await asyncio.gather(*creations[:2], digitwin_db.users.delete(owner.id), *creations[2:])
        assert await orphans(raw) == 0
        assert await belongings(digitwin_db, owner.id) == ([], [], [], [])


async def test_of_two_deletions_at_once_one_finds_nobody(
    digitwin_db: Database, raw: asyncpg.Connection, ada: User
) -> None:
    for _ in range(ROUNDS // 2):
        await create_child(digitwin_db, "voices", ada.id)
        results = await asyncio.gather(
            *(outcome(digitwin_db.users.delete(ada.id)) for _ in range(2))
        )
        assert sorted(type(result) for result in results if result is not None) == [NotFoundError]
        await digitwin_db.users.restore(ada.id)
        assert await orphans(raw) == 0


async def test_of_two_restores_at_once_one_finds_nobody(digitwin_db: Database, ada: User) -> None:
    for _ in range(ROUNDS // 2):
        await digitwin_db.users.delete(ada.id)
        results = await asyncio.gather(
            *(outcome(digitwin_db.users.restore(ada.id)) for _ in range(2))
        )
        assert sorted(type(result).__name__ for result in results) == ["NotFoundError", "User"]


async def test_a_new_e_mail_waits_for_an_open_deletion_and_is_refused(
    digitwin_db: Database, ada: User, until_waiting: UntilWaiting
) -> None:
    async with digitwin_db.transaction():
        await digitwin_db.users.delete(ada.id)
        change = beside(outcome(digitwin_db.users.update(ada.id, email="new@example.com")))
        await until_waiting()
    assert isinstance(await change, NotFoundError)
    await digitwin_db.users.create(email="new@example.com", name="New")
    assert (await digitwin_db.users.restore(ada.id)).email == ada.email


async def test_a_deletion_waits_for_a_new_e_mail_and_frees_it(
    digitwin_db: Database, ada: User, until_waiting: UntilWaiting
) -> None:
    async with digitwin_db.transaction():
        await digitwin_db.users.update(ada.id, email="new@example.com")
        deletion = beside(digitwin_db.users.delete(ada.id))
        await until_waiting()
    await deletion
    for email in (ada.email, "new@example.com"):
        await digitwin_db.users.create(email=email, name="Free")
