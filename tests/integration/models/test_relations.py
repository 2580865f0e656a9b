"""From one row to those it belongs with."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tortoise.query_utils import Prefetch

from digitwin.database import Database
from digitwin.errors import InvalidInputError, InvalidStateError
from digitwin.models import (
    ConversationSession,
    ConversationTurn,
    FaceModel,
    KnowledgeDocument,
    User,
    VoiceModel,
)
from tests.integration.models.conftest import furnish

TO_MANY = ["voice_models", "face_models", "sessions", "documents"]
TO_ONE: list[tuple[Any, str]] = [
    (VoiceModel, "user"),
    (FaceModel, "user"),
    (KnowledgeDocument, "user"),
    (ConversationSession, "user"),
    (ConversationSession, "voice_model"),
    (ConversationTurn, "session"),
]


@pytest.fixture(autouse=True)
async def bob(digitwin_db: Database, ada: User) -> User:
    """Somebody else, whose rows are never Ada's."""
    return await furnish(digitwin_db, "Bob")


@pytest.mark.parametrize("relation", TO_MANY)
async def test_the_rows_of_an_owner_are_awaited(ada: User, relation: str) -> None:
    rows = await getattr(ada, relation)
    assert [row.user_id for row in rows] == [ada.id]


@pytest.mark.parametrize("relation", TO_MANY)
async def test_the_rows_of_an_owner_can_be_asked_further(ada: User, relation: str) -> None:
    rows = getattr(ada, relation)
    assert await rows.all().count() == 1
    assert (await rows.filter(user_id=ada.id).first()).user_id == ada.id
    assert [row.user_id async for row in rows] == [ada.id]
    assert len(await rows.order_by("-id").limit(5)) == 1


@pytest.mark.parametrize(("model", "relation"), TO_ONE)
async def test_what_a_row_belongs_to_is_awaited(ada: User, model: Any, relation: str) -> None:
    row = await model.filter(user_id=ada.id).get()
    related = await getattr(row, relation)
    assert getattr(related, "user_id", related.id) == ada.id


async def test_turns_come_in_their_order(digitwin_db: Database, ada: User) -> None:
    session = await ConversationSession.filter(user_id=ada.id).get()
    for n in range(2, 12):
        await digitwin_db.sessions.add_turn(session.id, user_text=f"{n}")
    assert [turn.position for turn in await session.turns] == list(range(1, 12))


async def test_nobody_related_is_none(ada: User) -> None:
    session = await ConversationSession.filter(user_id=ada.id).get()
    assert await session.participant is None
    assert await session.face_model is None


async def test_deleted_rows_are_related_to_nobody(digitwin_db: Database, ada: User) -> None:
    session = await ConversationSession.filter(user_id=ada.id).get()
    voice = await VoiceModel.filter(user_id=ada.id).get()
    await voice.delete()
    assert await ada.voice_models == []
    assert await session.voice_model is None
    await ada.fetch_related("voice_models")
    assert list(ada.voice_models) == []


@pytest.mark.parametrize("relation", TO_MANY)
async def test_rows_are_fetched_along(ada: User, relation: str) -> None:
    for user in await User.all().prefetch_related(relation):
        assert [row.user_id for row in getattr(user, relation)] == [user.id]


async def test_rows_are_fetched_along_over_several_steps(ada: User) -> None:
    user = await User.filter(id=ada.id).prefetch_related("sessions__turns", "documents").get()
    assert [turn.user_text for session in user.sessions for turn in session.turns] == ["Ada"]  # type: ignore[attr-defined]
    assert [document.title for document in user.documents] == ["Ada"]  # type: ignore[attr-defined]


async def test_rows_are_fetched_along_by_a_query_of_ones_own(ada: User) -> None:
    query = KnowledgeDocument.filter(title="nobody's")
    user = await User.filter(id=ada.id).prefetch_related(Prefetch("documents", query)).get()
    assert list(user.documents) == []


async def test_rows_are_fetched_for_an_object_that_is_there(ada: User) -> None:
    user = await User.get(id=ada.id)
    await user.fetch_related("documents", "sessions__turns")
    assert [document.title for document in user.documents] == ["Ada"]  # type: ignore[attr-defined]
    await User.fetch_for_list([user], "voice_models")
    assert [voice.name for voice in user.voice_models] == ["Ada"]  # type: ignore[attr-defined]


async def test_what_rows_belong_to_is_joined(ada: User) -> None:
    query = ConversationSession.filter(user_id=ada.id).select_related("user", "voice_model")
    session = await query.get()
    assert (session.user.name, session.voice_model.name) == ("Ada", "Ada")  # type: ignore[attr-defined, union-attr]
    turn = await ConversationTurn.filter(user_text="Ada").select_related("session__user").get()
    assert turn.session.user.id == ada.id  # type: ignore[attr-defined]


async def test_what_rows_belong_to_is_fetched_along(ada: User, bob: User) -> None:
    documents = await KnowledgeDocument.all().prefetch_related("user").order_by("title")
    assert [document.user.id for document in documents] == [ada.id, bob.id]  # type: ignore[attr-defined]


async def test_within_a_transaction_relations_see_what_it_wrote(
    digitwin_db: Database, ada: User
) -> None:
    async with digitwin_db.transaction():
        await digitwin_db.documents.create(user_id=ada.id, title="New", content="C")
        assert len(await ada.documents) == 2
        user = await User.filter(id=ada.id).prefetch_related("documents", "sessions__turns").get()
        assert len(user.documents) == 2
        await ada.fetch_related("documents", "voice_models")
        assert len(ada.documents) == 2
        assert (await (await ConversationTurn.filter(user_text="Ada").get()).session).user_id


async def test_relations_of_many_objects_can_be_awaited_at_once(ada: User, bob: User) -> None:
    found = await asyncio.gather(*(user.documents for user in (ada, bob)), ada.sessions)
    assert [[row.user_id for row in rows] for rows in found] == [[ada.id], [bob.id], [ada.id]]


async def test_rows_not_fetched_yet_are_not_taken_for_none(ada: User) -> None:
    for use in (list, len, bool, lambda rows: rows[0], lambda rows: ada in rows):
        with pytest.raises(InvalidStateError, match="fetch"):
            use(ada.documents)


async def test_an_object_never_stored_has_no_rows() -> None:
    with pytest.raises(InvalidStateError):
        await User(email="new@example.com", name="New").documents


async def test_a_relation_of_another_kind_is_refused(ada: User) -> None:
    session = await ConversationSession.filter(user_id=ada.id).get()
    with pytest.raises(InvalidInputError) as error:
        session.user = await VoiceModel.filter(user_id=ada.id).get()
    assert error.value.details["field"] == "user"


async def test_an_unknown_relation_is_refused(ada: User) -> None:
    for call in (
        lambda: ada.fetch_related("nope"),
        lambda: User.all().prefetch_related("nope"),
        lambda: User.all().select_related("nope"),
        lambda: User.all().prefetch_related("documents__nope"),
    ):
        with pytest.raises((InvalidInputError, InvalidStateError)):
            await call()
