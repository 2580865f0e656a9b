"""What a model alone cannot make right says who can."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from digitwin.database import Database
from digitwin.errors import AlreadyExistsError, InvalidInputError, InvalidStateError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import AuditLog, KnowledgeDocument, SessionParticipant, User
from tests.integration.models.conftest import OF_A_PERSON

REPOSITORY = r"db\.(users|voices|faces|sessions|documents)\.(create|start|add_turn)\("

WAYS: dict[str, Callable[[Any], Any]] = {
    "create": lambda model: model.create(user_id=uuid7(), name="New"),
    "save": lambda model: model(user_id=uuid7(), name="New").save(),
    "save_forced": lambda model: model(name="New").save(force_create=True),
    "get_or_create": lambda model: model.get_or_create(id=uuid7()),
    "update_or_create": lambda model: model.update_or_create({"status": "x"}, id=uuid7()),
    "bulk_create": lambda model: model.bulk_create([model(name="New")]),
    "ignoring": lambda model: model.bulk_create([model(name="New")], ignore_conflicts=True),
    "queryset": lambda model: model.all().bulk_create([model(name="New")]),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("model", OF_A_PERSON)
async def test_a_new_row_needs_its_repository(digitwin_db: Database, model: Any, way: str) -> None:
    with pytest.raises(InvalidStateError, match=REPOSITORY):
        await WAYS[way](model)
    assert await model.all_objects.all().count() == 0


async def test_the_message_names_the_method_and_what_it_needs(digitwin_db: Database) -> None:
    with pytest.raises(InvalidStateError, match=r"db\.users\.create\(email=…, name=…\)"):
        await User.create(email="ada@example.com", name="Ada")


async def test_a_copy_of_a_row_is_a_new_row(ada: User) -> None:
    with pytest.raises(InvalidStateError, match=REPOSITORY):
        await ada.clone().save()
    with pytest.raises(InvalidStateError, match=REPOSITORY):
        await ada.documents.create(title="New", content="C")  # type: ignore[attr-defined]
    assert await KnowledgeDocument.all().count() == 1


async def test_a_row_that_is_there_is_got_and_changed(ada: User) -> None:
    found, created = await User.get_or_create(id=ada.id)
    assert (found.id, created) == (ada.id, False)
    changed, created = await User.update_or_create({"name": "Countess"}, id=ada.id)
    assert (changed.name, changed.version, created) == ("Countess", 2, False)


async def test_changing_what_a_repository_keeps_right_is_refused_here_too(ada: User) -> None:
    with pytest.raises(InvalidStateError, match=r"db\.users\.update\(id, email=…\)"):
        await User.update_or_create({"email": "new@example.com"}, id=ada.id)
    assert (await User.get(id=ada.id)).email == ada.email


async def test_of_many_who_get_or_create_at_once_one_creates(ada: User) -> None:
    for n in range(10):
        key = {"user_id": ada.id, "kind": "guest", "ref": f"web-{n}"}
        results = await asyncio.gather(
            *(SessionParticipant.get_or_create(defaults={"name": "Sam"}, **key) for _ in range(8))
        )
        assert sum(created for _, created in results) == 1
        assert len({row.id for row, _ in results}) == 1


async def test_of_many_who_update_or_create_at_once_one_creates(ada: User) -> None:
    for n in range(10):
        key = {"user_id": ada.id, "kind": "guest", "ref": f"web-{n}"}
        results = await asyncio.gather(
            *(SessionParticipant.update_or_create({"name": f"N{i}"}, **key) for i in range(8))
        )
        assert sum(created for _, created in results) == 1
        assert await SessionParticipant.filter(ref=f"web-{n}").count() == 1


async def test_a_refused_creation_leaves_the_transaction_around_it_usable(
    digitwin_db: Database, ada: User
) -> None:
    key = {"user_id": ada.id, "kind": "guest", "ref": "web"}
    made = await SessionParticipant.create(**key)
    async with digitwin_db.transaction():
        row, created = await SessionParticipant.get_or_create(name=None, **key)
        assert (row.id, created) == (made.id, False)
        with pytest.raises(AlreadyExistsError):
            async with digitwin_db.transaction():
                await SessionParticipant.create(**key)
        await SessionParticipant.filter(id=row.id).update(name="Sam")
    assert (await SessionParticipant.get(id=made.id)).name == "Sam"


async def test_what_a_model_can_make_is_checked_first(digitwin_db: Database) -> None:
    for fields, field in (
        ({"action": "a\0"}, "action"),
        ({"action": "x" * 101}, "action"),
        ({"action": "a", "metadata": {"x": float("nan")}}, "metadata"),
        ({"action": "a", "user_id": "no-uuid"}, "user_id"),
    ):
        with pytest.raises(InvalidInputError) as error:
            await AuditLog.create(resource="r", **fields)
        assert error.value.details["field"] == field
    made = await AuditLog.create(action="a", resource="r")
    assert (await AuditLog.get(id=made.id)).created_at == made.created_at


async def test_many_are_made_in_one_statement_where_a_model_may(digitwin_db: Database) -> None:
    await AuditLog.bulk_create([AuditLog(action=f"a{n}", resource="r") for n in range(3)])
    assert await AuditLog.all().count() == 3


async def test_a_bulk_creation_never_updates(ada: User) -> None:
    row = SessionParticipant(user_id=ada.id, kind="guest", ref="web")
    with pytest.raises(InvalidStateError, match="update"):
        await SessionParticipant.bulk_create(
            [row], on_conflict=["user_id", "id"], update_fields=["name"]
        )
