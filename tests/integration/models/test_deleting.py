"""A model's deletion is its repository's, or it is refused."""

from __future__ import annotations

from typing import Any

import pytest

from digitwin.database import Database
from digitwin.errors import InvalidStateError, NotFoundError
from digitwin.models import (
    ConversationSession,
    ConversationTurn,
    FaceModel,
    KnowledgeDocument,
    User,
    VoiceModel,
)
from tests.integration.models.conftest import OF_A_PERSON


async def test_a_user_takes_everything_along(digitwin_db: Database, ada: User) -> None:
    await digitwin_db.cache.responses.set("k", "yes", user_id=ada.id)
    await (await User.get()).delete()
    for model in (User, VoiceModel, FaceModel, KnowledgeDocument, ConversationSession):
        rows: Any = model
        assert await rows.all().count() == 0
        assert {row.deletion_id for row in await rows.all_objects.all()} == {
            (await User.all_objects.get()).deletion_id
        }
    assert await digitwin_db.cache.responses.get("k", user_id=ada.id) is None
    await digitwin_db.users.restore(ada.id)
    assert await KnowledgeDocument.all().count() == 1


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (VoiceModel, "voices"),
        (FaceModel, "faces"),
        (KnowledgeDocument, "documents"),
        (ConversationSession, "sessions"),
    ],
)
async def test_a_deletion_can_be_taken_back(
    digitwin_db: Database, ada: User, model: Any, kind: str
) -> None:
    row = await model.get()
    await row.delete()
    assert await model.all().count() == 0
    assert (await getattr(digitwin_db, kind).restore(row.id)).id == row.id


async def test_a_document_takes_what_was_searched_along(digitwin_db: Database, ada: User) -> None:
    await digitwin_db.cache.searches.set("k", ["hit"], user_id=ada.id)
    await (await KnowledgeDocument.get()).delete()
    assert await digitwin_db.cache.searches.get("k", user_id=ada.id) is None


@pytest.mark.parametrize(
    "model", [User, VoiceModel, FaceModel, KnowledgeDocument, ConversationSession]
)
async def test_what_is_deleted_is_not_deleted_again(
    digitwin_db: Database, ada: User, model: Any
) -> None:
    row = await model.get()
    await row.delete()
    with pytest.raises(NotFoundError):
        await row.delete()


async def test_a_deletion_joins_the_transaction_around_it(digitwin_db: Database, ada: User) -> None:
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await (await User.get()).delete()
            raise ZeroDivisionError
    assert await User.all().count() == await KnowledgeDocument.all().count() == 1


async def test_turns_are_not_deleted_by_their_model(ada: User) -> None:
    rows: Any = ConversationTurn
    row = await rows.get()
    for deletion in (row.delete, lambda: rows.all().delete(), lambda: rows.filter().delete()):
        with pytest.raises(InvalidStateError):
            await deletion()
    assert await rows.all().count() == 1


@pytest.mark.parametrize("model", OF_A_PERSON)
async def test_the_database_refuses_a_real_deletion(
    digitwin_db: Database, ada: User, model: Any
) -> None:
    table = model._meta.db_table
    with pytest.raises(InvalidStateError, match="DELETE"):
        await digitwin_db._core.db.execute(f"DELETE FROM {table}")
    assert await model.all().count() == 1


async def test_what_was_never_stored_is_not_found(digitwin_db: Database) -> None:
    for row in (
        User(email="ada@example.com", name="Ada"),
        VoiceModel(name="Warm"),
        ConversationSession(),
    ):
        with pytest.raises(NotFoundError):
            await row.delete()
