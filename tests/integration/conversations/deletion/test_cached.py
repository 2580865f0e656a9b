"""Cached answers that came from a session go with it, at the commit, whoever stored them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from digitwin import session_tag
from digitwin.cache.invalidation import Forgotten
from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, User
from digitwin.testing import DatabaseFactory
from digitwin.users.retention import DeletionRetention
from tests.integration.conversations.deletion.conftest import Talk


async def _by_model(db: Database, id: UUID) -> None:
    await (await ConversationSession.get(id=id)).delete()


async def _by_queryset(db: Database, id: UUID) -> None:
    assert await ConversationSession.filter(id=id).delete() == 1


async def _in_the_end(db: Database, id: UUID) -> None:
    await db.sessions.delete(id)
    session = await db.sessions.get(id, include_deleted=True)
    await _answer(db, session.user_id, id)
    hook = db._session_retention().before_final
    await DeletionRetention(db._core, db.cache, [hook]).make_final(0)


WAYS: dict[str, Callable[[Database, UUID], Awaitable[Any]]] = {
    "delete": lambda db, id: db.sessions.delete(id),
    "hard_delete": lambda db, id: db.sessions.hard_delete(id),
    "a model's delete": _by_model,
    "a queryset's delete": _by_queryset,
    "the end of its deletion": _in_the_end,
}


async def _answer(db: Database, owner: UUID, id: UUID) -> None:
    for user_id in (owner, None):
        await db.cache.responses.set("gone", "answer", user_id=user_id, tags=[session_tag(id)])


async def answers(db: Database, owner: UUID, key: str) -> list[Any]:
    return [await db.cache.responses.get(key, user_id=user_id) for user_id in (owner, None)]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_they_go_with_it(
    digitwin_db: Database, ada: User, gone: Talk, kept: Talk, way: Any
) -> None:
    await way(digitwin_db, gone.session)
    assert await answers(digitwin_db, ada.id, "gone") == [None, None]
    assert await answers(digitwin_db, ada.id, "kept") == ["answer", "answer"]


async def test_under_a_scope_too(digitwin_db: Database, ada: User, gone: Talk) -> None:
    await digitwin_db.for_user(ada.id).sessions.delete(gone.session)
    assert await answers(digitwin_db, ada.id, "gone") == [None, None]


@pytest.mark.parametrize("store", ["embeddings", "searches", "responses"])
async def test_from_every_store(digitwin_db: Database, ada: User, gone: Talk, store: str) -> None:
    table: Any = getattr(digitwin_db.cache, store)
    await table.set("k", [1.0], user_id=ada.id, tags=["other", session_tag(gone.session)])
    await digitwin_db.sessions.delete(gone.session)
    assert await table.get("k", user_id=ada.id) is None


async def test_what_is_rolled_back_keeps_them(digitwin_db: Database, ada: User, gone: Talk) -> None:
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await digitwin_db.sessions.delete(gone.session)
            assert await answers(digitwin_db, ada.id, "gone") == ["answer", "answer"]
            raise ZeroDivisionError
    assert await answers(digitwin_db, ada.id, "gone") == ["answer", "answer"]


async def test_an_answer_that_is_being_made_is_not_stored(
    digitwin_db: Database, ada: User, gone: Talk
) -> None:
    started, deleted = asyncio.Event(), asyncio.Event()

    async def make() -> str:
        started.set()
        await deleted.wait()
        return "late"

    making = asyncio.create_task(
        digitwin_db.cache.responses.get_or_create(
            "late", make, user_id=ada.id, tags=[session_tag(gone.session)]
        )
    )
    await started.wait()
    await digitwin_db.sessions.delete(gone.session)
    deleted.set()
    assert await making == "late"
    assert await digitwin_db.cache.responses.get("late", user_id=ada.id) is None


async def test_a_restore_brings_none_back(digitwin_db: Database, ada: User, gone: Talk) -> None:
    await digitwin_db.sessions.delete(gone.session)
    await digitwin_db.sessions.restore(gone.session)
    assert await answers(digitwin_db, ada.id, "gone") == [None, None]


async def test_another_instance_forgets_what_it_remembered(
    digitwin_db: Database,
    digitwin_url: str,
    digitwin_db_factory: DatabaseFactory,
    ada: User,
    gone: Talk,
) -> None:
    other = await digitwin_db_factory(digitwin_url)
    for _ in range(3):
        assert await answers(other, ada.id, "gone") == ["answer", "answer"]
    await digitwin_db.sessions.delete(gone.session)
    async with asyncio.timeout(10):
        while await answers(other, ada.id, "gone") != [None, None]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_many_sessions_need_few_locks(digitwin_db: Database, ada: User) -> None:
    """One lock for each tag would take up the server's room for locks."""
    await digitwin_db.sessions.create_many([{"user_id": ada.id} for _ in range(300)])
    row = await ConversationSession.all().first()
    await _answer(digitwin_db, ada.id, row.id)
    tags = tuple(session_tag(uuid7()) for _ in range(300))
    async with digitwin_db.transaction():
        await digitwin_db.cache._forget(frozenset([Forgotten("responses", tags=tags)]))
        held = await digitwin_db._core.db.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        )
    assert held == 1
    assert await ConversationSession.all().delete() == 300
    assert await answers(digitwin_db, ada.id, "gone") == [None, None]


@pytest.mark.parametrize("id", ["", "x", 5, None, UUID(int=0)])
def test_a_tag_is_of_an_id(id: Any) -> None:
    with pytest.raises(InvalidInputError):
        session_tag(id)


def test_a_tag_has_one_spelling() -> None:
    id = uuid7()
    assert session_tag(str(id).upper()) == session_tag(id) == f"session:{id}"
