"""The active place is taken at birth, left with a deletion, and found again by a restore."""

from __future__ import annotations

from typing import Any

import pytest

from digitwin.errors import InvalidInputError, InvalidStateError
from digitwin.models import User
from tests.integration.likeness.conftest import Make, active_ids


async def test_a_model_may_be_born_active_and_takes_the_place(models: Any, make: Make) -> None:
    await make(is_active=True)
    born = await make(is_active=True)
    assert born.is_active
    assert await active_ids(models) == [born.id]


async def test_a_model_born_active_must_be_ready(models: Any, make: Make) -> None:
    active = await make(is_active=True)
    with pytest.raises(InvalidStateError):
        await make(status="training", is_active=True)
    assert await active_ids(models) == [active.id]
    assert await models.count() == 1


async def test_of_many_each_person_gets_the_one_that_is_said_to_be_active(
    models: Any, make: Make, ada: User, bob: User
) -> None:
    before = await make(is_active=True)
    new = {"name": "New", "status": "ready"}
    made = await models.create_many(
        [
            {**new, "user_id": ada.id, "is_active": False},
            {**new, "user_id": bob.id, "is_active": True},
            {**new, "user_id": ada.id, "is_active": True},
        ]
    )
    assert [model.is_active for model in made] == [False, True, True]
    assert not (await models.get(before.id)).is_active
    assert await active_ids(models) == [made[1].id, made[2].id]


async def test_two_active_rows_of_one_person_are_refused_by_name(models: Any, ada: User) -> None:
    row = {"user_id": ada.id, "name": "Warm", "status": "ready", "is_active": True}
    with pytest.raises(InvalidInputError) as error:
        await models.create_many([row, {**row, "user_id": str(ada.id)}])
    assert error.value.details["field"] == "is_active"
    assert await models.count() == 0


async def test_many_with_one_active_that_is_not_ready_store_nothing(models: Any, ada: User) -> None:
    row = {"user_id": ada.id, "name": "Warm"}
    with pytest.raises(InvalidStateError):
        await models.create_many([row, {**row, "is_active": True}])
    assert await models.count() == 0


@pytest.mark.parametrize("removal", ["delete", "hard_delete"])
async def test_removing_the_active_model_leaves_nobody_active(
    models: Any, make: Make, ada: User, removal: str
) -> None:
    await make()
    model = await make(is_active=True)
    await getattr(models, removal)(model.id)
    assert await models.active_for(ada.id) is None
    assert await active_ids(models) == []


async def test_a_restored_model_is_active_again_where_nobody_is(
    models: Any, make: Make, ada: User
) -> None:
    model = await make(is_active=True)
    await models.delete(model.id)
    assert (await models.restore(model.id)).is_active
    assert (await models.active_for(ada.id)).id == model.id


async def test_a_restored_model_rests_where_another_has_become_active(
    models: Any, make: Make
) -> None:
    model, other = await make(is_active=True), await make()
    await models.delete(model.id)
    await models.activate(other.id)
    assert not (await models.restore(model.id)).is_active
    assert await active_ids(models) == [other.id]


async def test_a_restored_model_that_rested_still_rests(models: Any, make: Make) -> None:
    model = await make()
    await models.delete(model.id)
    assert not (await models.restore(model.id)).is_active
