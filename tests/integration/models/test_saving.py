"""A model writes back what it may, at the version it was read."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from tortoise.expressions import F

from digitwin.database import Database
from digitwin.errors import InvalidInputError, InvalidStateError, StaleVersionError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import (
    AuditLog,
    ConversationSession,
    ConversationTurn,
    FaceModel,
    KnowledgeDocument,
    SessionParticipant,
    User,
    VoiceModel,
)

FREE: list[tuple[Any, str, Any]] = [
    (User, "name", "New"),
    (User, "settings", {"a": [1, None]}),
    (User, "personality_traits", ["dry"]),
    (VoiceModel, "name", "New"),
    (VoiceModel, "quality_score", 0.5),
    (FaceModel, "metadata", {"a": 1}),
    (ConversationSession, "external_id", "New"),
    (ConversationSession, "metadata", {"a": 1}),
    (ConversationTurn, "twin_text", "New"),
    (ConversationTurn, "total_ms", 7),
    (KnowledgeDocument, "source_uri", "file:new"),
    (KnowledgeDocument, "metadata", {"a": 1}),
]
KEPT: list[tuple[Any, str, Any]] = [
    (User, "email", "new@example.com"),
    (VoiceModel, "is_active", False),
    (VoiceModel, "status", "failed"),
    (FaceModel, "status", "ready"),
    (ConversationSession, "status", "ended"),
    (ConversationSession, "end_reason", "bored"),
    (ConversationSession, "ended_at", datetime.now(UTC)),
    (ConversationSession, "participant_id", uuid7()),
    (ConversationSession, "turn_count", 9),
    (ConversationTurn, "position", 2),
    (ConversationTurn, "idempotency_key", "new"),
    (KnowledgeDocument, "content", "New."),
    (KnowledgeDocument, "visibility", "visitors"),
    (KnowledgeDocument, "worker", "w"),
]
"""What only a repository changes: a field of each model that has such."""


async def stored(row: Any) -> dict[str, Any]:
    """The row as the database has it."""
    return dict(await type(row).all_objects.get(pk=row.pk))


@pytest.mark.parametrize(("model", "field", "value"), FREE)
async def test_a_field_is_written_back(ada: User, model: Any, field: str, value: Any) -> None:
    row = await model.get()
    before = await stored(row)
    setattr(row, field, value)
    await row.save()
    after = await stored(row)
    assert {name for name in after if after[name] != before[name]} == {
        field,
        "version",
        "updated_at",
    }
    assert (after[field], after["version"]) == (value, before["version"] + 1)
    assert after["updated_at"] > before["updated_at"]


@pytest.mark.parametrize(("model", "field", "value"), FREE)
async def test_after_a_save_the_object_is_as_the_row(
    ada: User, model: Any, field: str, value: Any
) -> None:
    row = await model.get()
    for _ in range(2):
        setattr(row, field, value)
        await row.save()
        assert dict(row) == await stored(row)


@pytest.mark.parametrize(("model", "field", "value"), KEPT)
async def test_what_a_repository_keeps_right_is_refused_and_its_method_named(
    ada: User, model: Any, field: str, value: Any
) -> None:
    row = await model.get()
    before = await stored(row)
    setattr(row, field, value)
    for saving in (row.save, lambda: row.save(update_fields=[field])):
        with pytest.raises(InvalidStateError, match=r"through the repository: db\.\w+\.\w+") as e:
            await saving()
        assert e.value.details["field"] == field
    assert await stored(row) == before


@pytest.mark.parametrize("model", [User, ConversationSession, VoiceModel])
async def test_fields_not_named_are_not_written(ada: User, model: Any) -> None:
    row = await model.get()
    row.metadata = row.settings = {"a": 1}
    names = ["settings" if model is User else "metadata"]
    row.name = row.external_id = "New"
    await row.save(update_fields=names)
    after = await stored(row)
    assert after[names[0]] == {"a": 1}
    assert "New" not in after.values()


async def test_fields_may_come_from_a_generator(ada: User) -> None:
    row = await User.get()
    row.name = "New"
    await row.save(update_fields=(name for name in ("name",)))
    assert (await User.get()).name == "New"


@pytest.mark.parametrize("field", ["created_at", "updated_at", "version", "deleted_at"])
async def test_what_the_database_keeps_is_not_overwritten(ada: User, field: str) -> None:
    row = await User.get()
    before = await stored(row)
    with pytest.raises(InvalidStateError) as error:
        await row.save(update_fields=[field])
    assert error.value.details["field"] == field
    row.created_at = row.updated_at = datetime(2000, 1, 1, tzinfo=UTC)
    await row.save()
    after = await stored(row)
    assert after["created_at"] == row.created_at == before["created_at"]
    assert after["updated_at"] == row.updated_at > before["updated_at"]


@pytest.mark.parametrize("model", [VoiceModel, ConversationSession, ConversationTurn])
async def test_an_owner_never_changes(digitwin_db: Database, ada: User, model: Any) -> None:
    bob = await digitwin_db.users.create(email="bob@example.com", name="Bob")
    row = await model.get()
    row.user_id = bob.id
    with pytest.raises(InvalidStateError) as error:
        await row.save()
    assert error.value.details["field"] == "user_id"
    assert (await stored(row))["user_id"] == ada.id
    assert await model.all().count() == 1


async def test_another_id_never_makes_another_row(ada: User) -> None:
    row = await User.get()
    row.id = uuid7()
    with pytest.raises(StaleVersionError):
        await row.save()
    assert await User.all().count() == 1


@pytest.mark.parametrize("model", [User, VoiceModel, ConversationSession, KnowledgeDocument])
async def test_a_row_that_has_changed_since_is_not_overwritten(ada: User, model: Any) -> None:
    first, second = await model.get(), await model.get()
    first.metadata = first.settings = {"first": True}
    await first.save()
    second.metadata = second.settings = {"second": True}
    with pytest.raises(StaleVersionError):
        await second.save()
    await second.refresh_from_db()
    assert dict(second) == dict(first)


async def test_a_stale_row_is_stale_whatever_else_has_changed(
    digitwin_db: Database, ada: User
) -> None:
    row = await User.get()
    await digitwin_db.users.update(ada.id, email="new@example.com")
    row.name = "New"
    with pytest.raises(StaleVersionError):
        await row.save()


async def test_of_two_saves_at_once_one_is_stale(ada: User) -> None:
    for n in range(10):
        rows = [await User.get() for _ in range(2)]
        for i, row in enumerate(rows):
            row.name = f"{n}{i}"
        results = await asyncio.gather(*(row.save() for row in rows), return_exceptions=True)
        assert sorted(type(r) for r in results if r is not None) == [StaleVersionError]


async def test_a_deleted_row_is_not_saved(digitwin_db: Database, ada: User) -> None:
    rows = [await model.get() for model in (User, VoiceModel, ConversationSession)]
    await digitwin_db.users.delete(ada.id)
    hidden = [await type(row).all_objects.get(pk=row.pk) for row in rows]
    for row in (*rows, *hidden):
        row.name = row.external_id = "Ghost"
        with pytest.raises(StaleVersionError):
            await row.save()
    assert "Ghost" not in [*(await stored(rows[0])).values(), *(await stored(rows[1])).values()]


async def test_a_row_that_is_gone_is_not_saved(digitwin_db: Database, ada: User) -> None:
    row = await User.get()
    await digitwin_db.users.hard_delete(ada.id)
    for saving in (row.save, lambda: row.save(force_update=True)):
        with pytest.raises(StaleVersionError):
            await saving()
    assert await User.all_objects.all().count() == 0


async def test_a_save_that_is_rolled_back_is_not_stored(digitwin_db: Database, ada: User) -> None:
    row = await User.get()
    row.name = "New"
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await row.save()
            raise ZeroDivisionError
    assert (await User.get()).name == "Ada"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "x" * 201),
        ("name", ""),
        ("name", None),
        ("name", "a\0"),
        ("name", "\ud800"),
        ("subscription_tier", "gold"),
        ("personality_traits", {}),
        ("settings", []),
        ("settings", None),
        ("settings", "{}"),
        ("settings", {"x": float("inf")}),
        ("settings", {"x": "a\0"}),
        ("settings", {"x": {1}}),
        ("settings", {"x": "y" * 1_048_577}),
    ],
)
async def test_a_value_that_does_not_fit_is_refused_by_name(
    ada: User, field: str, value: Any
) -> None:
    row = await User.get()
    setattr(row, field, value)
    with pytest.raises(InvalidInputError) as error:
        await row.save()
    assert error.value.details["field"] == field
    assert (await User.get()).version == 1


async def test_the_error_does_not_repeat_the_value(ada: User) -> None:
    row = await User.get()
    row.name = "secret" * 100
    with pytest.raises(InvalidInputError) as error:
        await row.save()
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("field", ["nope", "documents", "", "email; DROP TABLE users"])
async def test_an_unknown_field_is_refused_by_name(ada: User, field: str) -> None:
    row = await User.get()
    with pytest.raises(InvalidInputError) as error:
        await row.save(update_fields=[field])
    assert error.value.details["field"] == field


async def test_an_expression_belongs_into_a_query(ada: User) -> None:
    row: Any = await User.get()
    row.name = F("email")
    with pytest.raises(InvalidStateError, match=r"update\(\)"):
        await row.save()


async def test_part_of_a_row_saves_what_was_loaded(ada: User) -> None:
    row = await User.all().only("id", "name", "version").get()
    row.name = "New"
    await row.save(update_fields=["name"])
    assert ((await User.get()).name, row.version) == ("New", 2)


async def test_part_of_a_row_without_its_version_is_not_saved(ada: User) -> None:
    row = await User.all().only("id", "name").get()
    for saving in (row.save, lambda: row.save(update_fields=["name"])):
        with pytest.raises(InvalidStateError):
            await saving()


async def test_part_of_a_row_cannot_smuggle_in_what_is_kept(ada: User) -> None:
    row = await User.all().only("id", "name", "version").get()
    row.email = "new@example.com"
    with pytest.raises(InvalidStateError, match=r"db\.users\.update"):
        await row.save(update_fields=["name", "email"])
    assert (await User.get()).email == ada.email


async def test_a_refresh_shows_the_row_as_it_is(digitwin_db: Database, ada: User) -> None:
    row = await User.get()
    await digitwin_db.users.update(ada.id, name="New", settings={"a": 1})
    await row.refresh_from_db(fields=["name"])
    assert (row.name, row.settings, row.version) == ("New", {}, 1)
    await row.refresh_from_db()
    assert dict(row) == await stored(row)


async def test_a_participant_has_no_version_and_is_saved(digitwin_db: Database, ada: User) -> None:
    made = await SessionParticipant.create(user_id=ada.id, kind="guest", ref="web")
    row = await SessionParticipant.get(id=made.id)
    row.name = "Sam"
    await row.save()
    assert ((await stored(row))["name"], row.updated_at > made.updated_at) == ("Sam", True)


async def test_the_audit_trail_is_never_rewritten(digitwin_db: Database) -> None:
    await digitwin_db.audit.record("a", "r")
    row = await AuditLog.get()
    row.action = "other"
    with pytest.raises(InvalidStateError):
        await row.save()
    assert (await AuditLog.get()).action == "a"
