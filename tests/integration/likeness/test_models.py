"""Voice and face models are stored, found, changed, hidden and brought back."""

from __future__ import annotations

from typing import Any

import pytest

from digitwin.database import Database
from digitwin.errors import (
    AlreadyExistsError,
    InvalidStateError,
    NotFoundError,
    StaleVersionError,
)
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import User
from tests.integration.likeness.conftest import Make


async def test_a_new_model_has_the_documented_defaults(models: Any, ada: User) -> None:
    model = await models.create(user_id=ada.id, name="Warm")
    assert (model.user_id, model.name, model.status) == (ada.id, "Warm", "pending")
    assert (model.is_active, model.metadata, model.version) == (False, {}, 1)
    assert (model.provider, model.artifact_uri, model.checksum) == (None, None, None)
    assert (model.quality_score, model.deleted_at) == (None, None)


async def test_every_field_comes_back_as_it_was_given(models: Any, ada: User) -> None:
    given = {
        "user_id": ada.id,
        "name": "Ada, 2026 — натуральный",
        "provider": "Éclat",
        "artifact_uri": "s3://models/" + "x" * 2036,
        "checksum": "c" * 128,
        "status": "ready",
        "quality_score": 0.875,
        "is_active": True,
        "metadata": {"hz": 24_000, "tags": ["a", None, 1.5]},
    }
    made = await models.create(**given)
    found = await models.get(made.id)
    assert {name: getattr(found, name) for name in given} == given


async def test_an_owner_may_be_named_by_a_string(models: Any, ada: User) -> None:
    model = await models.create(user_id=str(ada.id), name="Warm")
    assert (await models.get(str(model.id))).user_id == ada.id


async def test_creating_again_with_the_same_id_stores_nothing(models: Any, make: Make) -> None:
    id = uuid7()
    await make(id=id)
    with pytest.raises(AlreadyExistsError) as error:
        await make(id=id, name="Other")
    assert error.value.details["field"] == "id"
    assert await models.count() == 1


async def test_a_model_needs_a_living_owner(
    digitwin_db: Database, models: Any, make: Make, ada: User
) -> None:
    await digitwin_db.users.delete(ada.id)
    with pytest.raises(NotFoundError) as error:
        await make()
    assert error.value.details["field"] == "user_id"
    assert await models.count(include_deleted=True) == 0


async def test_many_are_stored_in_the_order_given(models: Any, ada: User, bob: User) -> None:
    rows = [
        {
            "id": uuid7(),
            "user_id": (ada, bob)[n % 2].id,
            "name": f"M{n}",
            **({"metadata": {"n": n}} if n % 3 else {"quality_score": n / 30}),
        }
        for n in range(30)
    ]
    made = await models.create_many(rows)
    assert [(m.id, m.user_id, m.name) for m in made] == [
        (row["id"], row["user_id"], row["name"]) for row in rows
    ]


async def test_many_are_stored_all_or_none(models: Any, ada: User) -> None:
    good = {"user_id": ada.id, "name": "Warm"}
    with pytest.raises(NotFoundError) as error:
        await models.create_many([good, {**good, "user_id": uuid7()}])
    assert error.value.details["field"] == "user_id"
    assert await models.count() == 0


async def test_no_rows_are_no_work(models: Any) -> None:
    assert await models.create_many([]) == []


async def test_many_may_come_from_a_generator(models: Any, ada: User) -> None:
    rows = ({"user_id": ada.id, "name": n, "status": "ready", "is_active": n == "b"} for n in "ab")
    assert [(m.name, m.is_active) for m in await models.create_many(rows)] == [
        ("a", False),
        ("b", True),
    ]


async def test_an_id_given_twice_is_taken_whoever_owns_it(
    models: Any, ada: User, bob: User
) -> None:
    id = uuid7()
    with pytest.raises(AlreadyExistsError) as error:
        await models.create_many(
            [{"id": id, "user_id": user.id, "name": "Warm"} for user in (ada, bob)]
        )
    assert error.value.details["field"] == "id"


async def test_what_is_missing_is_not_found_and_find_gives_none(models: Any) -> None:
    with pytest.raises(NotFoundError) as error:
        await models.get(uuid7())
    assert error.value.details["field"] == "id"
    assert await models.find(uuid7()) is None


async def test_get_with_another_owner_finds_nothing(models: Any, make: Make, bob: User) -> None:
    model = await make()
    assert await models.find(model.id, user_id=bob.id) is None


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"name": "A"}, ["A"]),
        ({"provider": "x"}, ["B"]),
        ({"provider": None}, ["A", "C"]),
        ({"status": "pending"}, ["C"]),
        ({"is_active": True}, ["B"]),
        ({"is_active": False, "status": "ready"}, ["A"]),
    ],
)
async def test_filters_narrow_lists_streams_and_counts(
    models: Any, make: Make, filters: dict[str, Any], names: list[str]
) -> None:
    await make(name="A")
    await make(name="B", provider="x", is_active=True)
    await make(name="C", status="pending")
    assert [m.name for m in (await models.list(**filters)).items] == names
    assert [m.name async for m in models.stream(**filters)] == names
    assert await models.count(**filters) == len(names)
    assert await models.exists(**filters)


async def test_a_list_may_be_of_one_person(models: Any, make: Make, ada: User, bob: User) -> None:
    await make()
    await make(user_id=bob.id, name="His")
    assert [m.name for m in (await models.list(user_id=bob.id)).items] == ["His"]
    assert await models.count(user_id=str(ada.id)) == 1


async def test_nothing_that_fits_is_an_empty_page(models: Any) -> None:
    page = await models.list(name="nobody")
    assert (page.items, page.next_cursor) == ([], None)
    assert not await models.exists(name="nobody")


async def test_pages_show_every_model_once_oldest_first(models: Any, make: Make) -> None:
    made = [(await make(name=f"M{n}")).id for n in range(5)]
    first = await models.list(limit=2)
    second = await models.list(limit=2, after=first.next_cursor)
    third = await models.list(limit=2, after=second.next_cursor)
    assert [m.id for page in (first, second, third) for m in page.items] == made
    assert third.next_cursor is None


async def test_the_deleted_are_seen_only_on_request(models: Any, make: Make) -> None:
    kept, gone = await make(name="kept"), await make(name="gone")
    await models.delete(gone.id)
    assert [m.id for m in (await models.list()).items] == [kept.id]
    assert [m.id for m in (await models.list(include_deleted=True)).items] == [kept.id, gone.id]
    assert [m.id async for m in models.stream(include_deleted=True)] == [kept.id, gone.id]
    assert (await models.count(), await models.count(include_deleted=True)) == (1, 2)
    assert not await models.exists(name="gone")
    assert await models.exists(name="gone", include_deleted=True)
    assert (await models.get(gone.id, include_deleted=True)).deleted_at is not None


async def test_an_update_changes_what_is_given_and_moves_the_version(
    models: Any, make: Make
) -> None:
    old = await make(provider="x", quality_score=0.5)
    new = await models.update(old.id, name="Cold", provider=None, metadata={"a": 1})
    assert (new.name, new.provider, new.metadata) == ("Cold", None, {"a": 1})
    assert (new.quality_score, new.version) == (0.5, old.version + 1)
    assert new.updated_at > old.updated_at


async def test_a_stale_version_changes_nothing(models: Any, make: Make) -> None:
    model = await make()
    await models.update(model.id, name="First")
    with pytest.raises(StaleVersionError) as error:
        await models.update(model.id, expected_version=1, name="Second")
    assert error.value.details["version"] == 2
    assert (await models.get(model.id)).name == "First"


async def test_a_deletion_hides_and_deleting_twice_is_not_found(models: Any, make: Make) -> None:
    model = await make()
    await models.delete(model.id)
    assert await models.find(model.id) is None
    for call in (models.delete, models.get, models.activate, models.deactivate):
        with pytest.raises(NotFoundError):
            await call(model.id)
    for change in ({"name": "Ghost"}, {"status": "training"}):
        with pytest.raises(NotFoundError):
            await models.update(model.id, **change)


async def test_a_restore_brings_back_the_same_row(models: Any, make: Make) -> None:
    model = await make(metadata={"a": 1}, quality_score=0.25)
    await models.delete(model.id)
    restored = await models.restore(model.id)
    assert (restored.id, restored.metadata, restored.quality_score) == (model.id, {"a": 1}, 0.25)
    assert (restored.deleted_at, restored.deletion_id) == (None, None)
    assert (await models.get(model.id)).version == restored.version


async def test_restoring_what_lives_or_never_was_is_not_found(models: Any, make: Make) -> None:
    model = await make()
    for id in (model.id, uuid7()):
        with pytest.raises(NotFoundError):
            await models.restore(id)


async def test_nothing_is_restored_under_a_deleted_user(
    digitwin_db: Database, models: Any, make: Make, ada: User
) -> None:
    model = await make()
    await models.delete(model.id)
    await digitwin_db.users.delete(ada.id)
    with pytest.raises(InvalidStateError):
        await models.restore(model.id)
    assert await models.find(model.id) is None


async def test_what_went_with_its_owner_comes_back_with_them(
    digitwin_db: Database, models: Any, make: Make, ada: User
) -> None:
    active, gone = await make(is_active=True), await make()
    await models.delete(gone.id)
    await digitwin_db.users.delete(ada.id)
    assert await models.count() == 0
    with pytest.raises(InvalidStateError):
        await models.restore(active.id)
    await digitwin_db.users.restore(ada.id)
    assert [(m.id, m.is_active) for m in (await models.list()).items] == [(active.id, True)]


@pytest.mark.parametrize("deleted", [False, True])
async def test_a_hard_deletion_leaves_nothing(models: Any, make: Make, deleted: bool) -> None:
    model = await make()
    if deleted:
        await models.delete(model.id)
    await models.hard_delete(model.id)
    assert await models.find(model.id, include_deleted=True) is None
    for call in (models.hard_delete, models.restore):
        with pytest.raises(NotFoundError):
            await call(model.id)


async def test_a_session_outlives_the_model_it_spoke_with(
    digitwin_db: Database, kind: str, models: Any, make: Make, ada: User
) -> None:
    model, field = await make(), f"{kind[:-1]}_model_id"
    started: Any = {field: model.id}
    session = await digitwin_db.sessions.start(ada.id, **started)
    await models.hard_delete(model.id)
    left = await digitwin_db.sessions.get(session.id)
    assert (left.user_id, getattr(left, field)) == (ada.id, None)


async def test_an_owner_knows_their_models(
    digitwin_db: Database, kind: str, make: Make, ada: User
) -> None:
    model = await make()
    related: Any = getattr(ada, f"{kind[:-1]}_models")
    assert [m.id for m in await related] == [model.id]
    assert (await (await related.all().first()).user).id == ada.id


async def test_the_model_itself_says_where_it_is_created(
    digitwin_db: Database, kind: str, models: Any, ada: User
) -> None:
    with pytest.raises(InvalidStateError, match=rf"db\.{kind}\.create"):
        await models.model.create(user_id=ada.id, name="Warm")


@pytest.mark.parametrize(
    ("change", "method"), [({"is_active": True}, "activate"), ({"status": "failed"}, "update")]
)
async def test_the_model_itself_says_how_it_becomes_active_and_changes_status(
    kind: str, models: Any, make: Make, change: dict[str, Any], method: str
) -> None:
    model = await make()
    model.update_from_dict(change)
    with pytest.raises(InvalidStateError, match=rf"db\.{kind}\.{method}"):
        await model.save()
    assert not (await models.get(model.id)).is_active


async def test_a_models_own_deletion_can_be_taken_back(models: Any, make: Make) -> None:
    model = await make()
    await model.delete()
    assert await models.find(model.id) is None
    assert (await models.restore(model.id)).id == model.id
