"""What does not fit is refused by name, and nothing is stored."""

from __future__ import annotations

from typing import Any

import pytest

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import User
from tests.integration.likeness.conftest import Make

NAN = float("nan")
NOT_A_FIELD: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name"),
    ({"name": " \t "}, "name"),
    ({"name": "a\nb"}, "name"),
    ({"name": "x" * 201}, "name"),
    ({"name": None}, "name"),
    ({"provider": "x" * 101}, "provider"),
    ({"artifact_uri": "x" * 2049}, "artifact_uri"),
    ({"artifact_uri": "s3://a\0b"}, "artifact_uri"),
    ({"checksum": "x" * 129}, "checksum"),
    ({"checksum": "\udfff"}, "checksum"),
    ({"status": "done"}, "status"),
    ({"status": ["ready"]}, "status"),
    ({"quality_score": 1.5}, "quality_score"),
    ({"quality_score": -0.1}, "quality_score"),
    ({"quality_score": NAN}, "quality_score"),
    ({"quality_score": float("inf")}, "quality_score"),
    ({"quality_score": "0.5"}, "quality_score"),
    ({"quality_score": True}, "quality_score"),
    ({"metadata": {"x": NAN}}, "metadata"),
    ({"metadata": {"x": "a\0"}}, "metadata"),
    ({"metadata": {1: "x"}}, "metadata"),
    ({"metadata": {"x": {1, 2}}}, "metadata"),
    ({"metadata": []}, "metadata"),
    ({"metadata": {"x": "y" * 1_048_576}}, "metadata"),
    ({"colour": "red"}, "colour"),
    ({"version": 7}, "version"),
    ({"deleted_at": None}, "deleted_at"),
]


@pytest.mark.parametrize(("fields", "field"), NOT_A_FIELD)
async def test_a_new_model_that_does_not_fit_is_refused_by_name(
    models: Any, make: Make, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await make(**fields)
    assert error.value.details["field"] == field
    assert await models.count() == 0


@pytest.mark.parametrize(
    ("changes", "field"),
    [*NOT_A_FIELD, ({"is_active": True}, "is_active"), ({"user_id": uuid7()}, "user_id")],
)
async def test_a_change_that_does_not_fit_is_refused_by_name(
    models: Any, make: Make, changes: dict[str, Any], field: str
) -> None:
    model = await make()
    with pytest.raises(InvalidInputError) as error:
        await models.update(model.id, **changes)
    assert error.value.details["field"] == field
    assert (await models.get(model.id)).version == 1


@pytest.mark.parametrize("is_active", ["yes", 1, None])
async def test_active_is_true_or_false_alone_or_among_many(
    models: Any, make: Make, ada: User, is_active: Any
) -> None:
    row = {"user_id": ada.id, "name": "Warm", "status": "ready", "is_active": is_active}
    for call in (make(is_active=is_active), models.create_many([row])):
        with pytest.raises(InvalidInputError) as error:
            await call
        assert error.value.details["field"] == "is_active"
    assert await models.count() == 0


@pytest.mark.parametrize("rows", [5, "ab", [5], [None], {"name": "Warm"}])
async def test_rows_are_dicts_of_fields(models: Any, rows: Any) -> None:
    with pytest.raises(InvalidInputError) as error:
        await models.create_many(rows)
    assert error.value.details["field"] == "rows"


async def test_too_many_rows_are_refused_with_the_limit(models: Any, ada: User) -> None:
    with pytest.raises(InvalidInputError) as error:
        await models.create_many([{"user_id": ada.id, "name": "Warm"}] * 10_001)
    assert (error.value.details["field"], error.value.details["limit"]) == ("rows", 10_000)


@pytest.mark.parametrize("fields", [{"name": "Warm"}, {"user_id": "ada", "name": "Warm"}])
async def test_an_owner_must_be_named_by_a_uuid(models: Any, fields: Any) -> None:
    for call in (models.create(**fields), models.create_many([fields])):
        with pytest.raises(InvalidInputError) as error:
            await call
        assert error.value.details["field"] == "user_id"


async def test_a_name_is_needed(models: Any, ada: User) -> None:
    with pytest.raises(InvalidInputError) as error:
        await models.create(user_id=ada.id)
    assert error.value.details["field"] == "name"


@pytest.mark.parametrize("method", ["get", "find", "delete", "restore", "hard_delete", "activate"])
@pytest.mark.parametrize("id", ["nonsense", 7, None, b"0" * 16])
async def test_an_id_is_a_uuid_or_its_string(models: Any, method: str, id: Any) -> None:
    with pytest.raises(InvalidInputError) as error:
        await getattr(models, method)(id)
    assert error.value.details["field"] == "id"


async def test_an_id_of_a_new_model_is_a_uuid(make: Make) -> None:
    with pytest.raises(InvalidInputError) as error:
        await make(id="mine")
    assert error.value.details["field"] == "id"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"metadata": {}}, "metadata"),
        ({"status": "done"}, "status"),
        ({"is_active": "yes"}, "is_active"),
        ({"name": None}, "name"),
        ({"user_id": "nonsense"}, "user_id"),
        ({"user_id": None}, "user_id"),
    ],
)
async def test_a_filter_that_does_not_fit_is_refused_by_name(
    models: Any, asked: Any, field: str
) -> None:
    for call in (models.list(**asked), models.count(**asked), models.exists(**asked)):
        with pytest.raises(InvalidInputError) as error:
            await call
        assert error.value.details["field"] == field
    with pytest.raises(InvalidInputError):
        _ = [model async for model in models.stream(**asked)]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": True}, "limit"),
        ({"after": "nonsense"}, "after"),
        ({"after": 5}, "after"),
    ],
)
async def test_a_page_that_cannot_be_is_refused_by_name(
    models: Any, asked: Any, field: str
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await models.list(**asked)
    assert error.value.details["field"] == field


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "changes"),
        ({"name": "New", "expected_version": 0}, "expected_version"),
        ({"name": "New", "expected_version": "1"}, "expected_version"),
        ({"status": "training", "expected_version": True}, "expected_version"),
    ],
)
async def test_an_update_needs_a_change_and_a_version_that_can_be(
    models: Any, make: Make, given: Any, field: str
) -> None:
    model = await make()
    with pytest.raises(InvalidInputError) as error:
        await models.update(model.id, **given)
    assert error.value.details["field"] == field
