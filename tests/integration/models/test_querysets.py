"""Queries of models keep the book, refuse what they cannot keep right, and hide the deleted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tortoise.expressions import F, Q
from tortoise.functions import Count

from digitwin.database import Database
from digitwin.errors import InvalidInputError, InvalidStateError, StaleVersionError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import (
    AuditLog,
    ConversationSession,
    ConversationTurn,
    KnowledgeDocument,
    SessionParticipant,
    User,
    VoiceModel,
)
from tests.integration.models.test_saving import FREE, KEPT


@pytest.mark.parametrize(("model", "field", "value"), FREE)
async def test_an_update_moves_version_and_time(
    ada: User, model: Any, field: str, value: Any
) -> None:
    before = await model.get()
    assert await model.filter(id=before.id).update(**{field: value}) == 1
    after = await model.get()
    assert (getattr(after, field), after.version) == (value, before.version + 1)
    assert after.updated_at > before.updated_at


async def test_an_update_counts_what_it_changed(digitwin_db: Database, ada: User) -> None:
    await digitwin_db.voices.create(user_id=ada.id, name="Second")
    assert await VoiceModel.all().update(provider="x") == 2
    assert await VoiceModel.filter(name="nobody").update(provider="y") == 0


async def test_an_update_may_compute(ada: User) -> None:
    await ConversationTurn.all().update(total_ms=40)
    await ConversationTurn.all().update(total_ms=F("total_ms") + 2)
    assert (await ConversationTurn.get()).total_ms == 42


async def test_an_update_leaves_the_deleted_alone(digitwin_db: Database, ada: User) -> None:
    await digitwin_db.users.delete(ada.id)
    assert await User.all().update(name="Ghost") == 0
    assert (await User.all_objects.get()).name == "Ada"


@pytest.mark.parametrize(("model", "field", "value"), KEPT)
async def test_an_update_of_what_a_repository_keeps_right_is_refused(
    ada: User, model: Any, field: str, value: Any
) -> None:
    for rows in (model.all(), model.all_objects.all(), model.filter(id=uuid7())):
        with pytest.raises(InvalidStateError, match=r"through the repository: db\.") as error:
            await rows.update(**{field: value})
        assert error.value.details["field"] == field
    assert (await model.get()).version <= 2


async def test_an_update_of_a_relation_is_one_of_its_column(
    digitwin_db: Database, ada: User
) -> None:
    sam = await SessionParticipant.create(user_id=ada.id, kind="guest", ref="web")
    with pytest.raises(InvalidStateError, match=r"db\.sessions\.start"):
        await ConversationSession.all().update(participant=sam)
    bob = await digitwin_db.users.create(email="bob@example.com", name="Bob")
    for change in ({"user": bob}, {"user_id": bob.id}):
        with pytest.raises(InvalidStateError) as error:
            await VoiceModel.all().update(**change)
        assert error.value.details["field"] == "user_id"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", uuid7()),
        ("pk", uuid7()),
        ("version", 1),
        ("created_at", datetime.now(UTC)),
        ("updated_at", datetime.now(UTC)),
        ("deleted_at", None),
        ("deletion_id", None),
    ],
)
async def test_an_update_of_what_the_database_keeps_is_refused(
    ada: User, field: str, value: Any
) -> None:
    with pytest.raises(InvalidStateError):
        await User.all_objects.all().update(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("nope", 1),
        ("documents", []),
        ("name", "x" * 201),
        ("name", ""),
        ("name", None),
        ("name", "a\0"),
        ("name", "\ud800"),
        ("subscription_tier", "gold"),
        ("settings", []),
        ("settings", {"x": float("nan")}),
    ],
)
async def test_an_update_that_does_not_fit_is_refused_by_name(
    ada: User, field: str, value: Any
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await User.all().update(**{field: value})
    assert error.value.details["field"] == field
    assert (await User.get()).version == 1


async def test_a_value_that_no_column_takes_is_refused(ada: User) -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    for query in (
        lambda: User.filter(name=deep),
        lambda: User.filter(name__in=[deep]),
        lambda: User.filter(settings__filter={"a": deep}),
        lambda: User.get(created_at=deep),
        lambda: User.filter(version=10**30),
        lambda: User.filter(id="Ada"),
    ):
        with pytest.raises(InvalidInputError) as refused:
            await query()
        assert "Ada" not in str(refused.value)
    with pytest.raises(InvalidInputError, match="name"):
        VoiceModel(name=deep)


async def test_the_audit_trail_is_neither_updated_nor_deleted(digitwin_db: Database) -> None:
    await digitwin_db.audit.record("a", "r")
    for change in (AuditLog.all().update(action="b"), AuditLog.all().delete()):
        with pytest.raises(InvalidStateError):
            await change
    assert (await AuditLog.get()).action == "a"


async def test_a_bulk_update_saves_each_object(digitwin_db: Database, ada: User) -> None:
    await digitwin_db.voices.create(user_id=ada.id, name="Second")
    rows = await VoiceModel.all()
    expected = {(row.id, row.name, "New", row.version + 1) for row in rows}
    for row in rows:
        row.provider = row.name = "New"
    assert await VoiceModel.bulk_update(rows, fields=["provider"]) == 2
    after = await VoiceModel.all()
    assert {(row.id, row.name, row.provider, row.version) for row in after} == expected


async def test_a_bulk_update_is_all_or_nothing(digitwin_db: Database, ada: User) -> None:
    second = await digitwin_db.voices.create(user_id=ada.id, name="Second")
    rows = await VoiceModel.all().order_by("id")
    await digitwin_db.voices.update(second.id, name="Changed")
    for row in rows:
        row.provider = "New"
    with pytest.raises(StaleVersionError):
        await VoiceModel.bulk_update(rows, ["provider"])
    assert await VoiceModel.filter(provider="New").count() == 0


async def test_a_bulk_update_of_what_a_repository_keeps_right_is_refused(ada: User) -> None:
    row = await User.get()
    row.email = "new@example.com"
    with pytest.raises(InvalidStateError, match=r"db\.users\.update"):
        await User.bulk_update([row], ["email"])
    with pytest.raises(InvalidStateError, match="bulk_update"):
        await User.all().bulk_update([row], ["email"])
    assert (await User.get()).email == ada.email


async def test_the_deleted_are_out_of_sight(digitwin_db: Database, ada: User) -> None:
    voice = await VoiceModel.get()
    await digitwin_db.users.delete(ada.id)
    for model in (User, VoiceModel, KnowledgeDocument, ConversationSession):
        rows: Any = model
        assert await rows.all() == []
        assert await rows.all().count() == 0
        assert await rows.exists() is False
        assert await rows.first() is None
        assert await rows.filter(Q(created_at__isnull=False)).values("id") == []
        assert len(await rows.all_objects.all()) == 1
    assert await VoiceModel.get_or_none(id=voice.id) is None
    assert await VoiceModel.in_bulk([voice.id], "id") == {}


async def test_each_model_sees_everything_of_its_own(digitwin_db: Database, ada: User) -> None:
    for model in (User, VoiceModel, KnowledgeDocument, ConversationSession, ConversationTurn):
        rows: Any = model
        assert {type(row) for row in await rows.all_objects.all()} == {model}


async def test_queries_give_what_they_say(digitwin_db: Database, ada: User) -> None:
    await digitwin_db.users.create(email="bob@example.com", name="Bob")
    assert await User.all().order_by("-name").values_list("name", flat=True) == ["Bob", "Ada"]
    assert await User.filter(name="Ada").values("email") == [{"email": ada.email}]
    assert [u.name for u in await User.exclude(name="Ada")] == ["Bob"]
    assert [u.name async for u in User.all().order_by("name")] == ["Ada", "Bob"]
    assert [u.name for u in await User.all().order_by("name")[1:2]] == ["Bob"]
    counted = await User.annotate(n=Count("documents")).order_by("name").values_list("name", "n")
    assert counted == [("Ada", 1), ("Bob", 0)]
    assert (await User[ada.id]).name == "Ada"
    assert await User.all().contains(ada)
    assert await User.raw("SELECT * FROM users WHERE name = 'Bob'") == [await User.get(name="Bob")]


async def test_a_row_is_locked_within_a_transaction(digitwin_db: Database, ada: User) -> None:
    async with digitwin_db.transaction():
        locked = await User.select_for_update().get(id=ada.id)
        locked.name = "New"
        await locked.save()
    assert (await User.get()).name == "New"


@pytest.mark.parametrize(
    "key",
    [
        "x' AS TEXT) IS NULL OR TRUE OR CAST(settings->>'x",
        "x' IS NULL OR 'x",
        "'",
        "''",
        "a__b'c",
        "x\\'",
    ],
)
async def test_a_key_within_json_is_a_key_and_no_sql(ada: User, key: str) -> None:
    assert await User.filter(settings__filter={key: "nothing"}) == []
    assert await User.filter(Q(settings__filter={key: "nothing"})).count() == 0


async def test_a_key_within_json_may_hold_an_apostrophe(ada: User) -> None:
    await User.all().update(settings={"o'clock": "nine"})
    assert await User.filter(settings__filter={"o'clock": "nine"}).count() == 1


@pytest.mark.parametrize("alias", ['n" FROM users; --', "n n", 'n", email AS "n'])
async def test_a_name_for_a_result_is_a_name_and_no_sql(ada: User, alias: str) -> None:
    for query in (
        lambda: User.all().annotate(**{alias: Count("documents")}),
        lambda: User.annotate(**{alias: Count("documents")}),
        lambda: User.all().values(**{alias: "name"}),
        lambda: User.filter(name="Ada").values(**{alias: "name"}),
    ):
        with pytest.raises(InvalidInputError):
            await query()
