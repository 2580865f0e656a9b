"""A person has at most one active model of a kind, whoever activates what at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from digitwin.database import Database
from digitwin.errors import (
    AlreadyExistsError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
)
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import User
from digitwin.testing import DatabaseFactory
from tests.integration.likeness.conftest import Make, active_ids
from tests.support.waiting import UntilWaiting

ROUNDS, MANY = 12, 8


async def test_nobody_has_an_active_model_at_first(models: Any, make: Make, ada: User) -> None:
    await make()
    assert await models.active_for(ada.id) is None


async def test_an_activation_makes_a_model_the_active_one(
    models: Any, make: Make, ada: User
) -> None:
    model = await make()
    activated = await models.activate(model.id)
    assert (activated.id, activated.is_active, activated.version) == (model.id, True, 2)
    assert (await models.active_for(ada.id)).id == model.id


async def test_the_model_that_was_active_makes_room(models: Any, make: Make) -> None:
    first, second = await make(is_active=True), await make()
    await models.activate(second.id)
    assert await active_ids(models) == [second.id]
    assert (await models.get(first.id)).version == first.version + 1


async def test_activating_again_changes_nothing(models: Any, make: Make) -> None:
    model = await make()
    once = await models.activate(model.id)
    again = await models.activate(model.id)
    assert again.is_active
    assert (again.version, again.updated_at) == (once.version, once.updated_at)


@pytest.mark.parametrize("status", ["pending", "training", "failed"])
async def test_only_a_ready_model_becomes_active(models: Any, make: Make, status: str) -> None:
    active, model = await make(is_active=True), await make(status=status)
    with pytest.raises(InvalidStateError) as error:
        await models.activate(model.id)
    assert error.value.details["status"] == status
    assert await active_ids(models) == [active.id]


async def test_each_person_has_an_active_model_of_their_own(
    models: Any, make: Make, ada: User, bob: User
) -> None:
    hers, his = await make(is_active=True), await make(user_id=bob.id, is_active=True)
    assert (await models.active_for(ada.id)).id == hers.id
    assert (await models.active_for(bob.id)).id == his.id


async def test_a_voice_and_a_face_are_active_side_by_side(digitwin_db: Database, ada: User) -> None:
    new: Any = {"user_id": ada.id, "name": "Warm", "status": "ready", "is_active": True}
    voice, face = await digitwin_db.voices.create(**new), await digitwin_db.faces.create(**new)
    found = await digitwin_db.voices.active_for(ada.id), await digitwin_db.faces.active_for(ada.id)
    assert [model and model.id for model in found] == [voice.id, face.id]


async def test_a_deactivation_leaves_nobody_active(models: Any, make: Make, ada: User) -> None:
    model = await make(is_active=True)
    left = await models.deactivate(model.id)
    assert (left.is_active, left.version) == (False, model.version + 1)
    assert await models.active_for(ada.id) is None


async def test_deactivating_what_rests_changes_nothing(models: Any, make: Make) -> None:
    active, model = await make(is_active=True), await make()
    left = await models.deactivate(model.id)
    assert (left.version, left.updated_at) == (model.version, model.updated_at)
    assert await active_ids(models) == [active.id]


async def test_who_is_active_must_be_asked_of_somebody(
    digitwin_db: Database, kind: str, models: Any, make: Make, ada: User
) -> None:
    model = await make(is_active=True)
    with pytest.raises(InvalidInputError) as error:
        await models.active_for()
    assert error.value.details["field"] == "user_id"
    assert (await getattr(digitwin_db.for_user(ada.id), kind).active_for()).id == model.id


async def test_the_database_itself_refuses_a_second_active_model(
    digitwin_db: Database, models: Any, make: Make
) -> None:
    await make(is_active=True)
    await make()
    with pytest.raises(AlreadyExistsError) as error:
        await digitwin_db._core.db.execute(
            f"UPDATE {models.model._meta.db_table} SET is_active = true"
        )
    assert error.value.details["field"] == "is_active"


async def test_the_database_itself_refuses_an_active_model_that_is_not_ready(
    digitwin_db: Database, models: Any, make: Make
) -> None:
    await make(status="failed")
    with pytest.raises(InvalidInputError) as error:
        await digitwin_db._core.db.execute(
            f"UPDATE {models.model._meta.db_table} SET is_active = true"
        )
    assert error.value.details["field"] == "is_active"


async def test_of_many_activations_at_once_one_is_left_and_none_fails(
    models: Any, make: Make
) -> None:
    made = [(await make(name=f"M{n}")).id for n in range(MANY)]
    for _ in range(ROUNDS):
        results = await asyncio.gather(*(models.activate(id) for id in made))
        assert [model.id for model in results] == made
        assert all(model.is_active for model in results)
        [active] = await active_ids(models)
        assert active in made


async def test_activations_through_several_handles_leave_one(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, kind: str, models: Any, make: Make
) -> None:
    handles = [await digitwin_db_factory(digitwin_url, pool_max=4) for _ in range(3)]
    made = [(await make(name=f"M{n}")).id for n in range(MANY)]
    for _ in range(ROUNDS):
        calls = [getattr(db, kind).activate(id) for db in handles for id in made]
        await asyncio.gather(*calls)
        assert len(await active_ids(models)) == 1


async def test_creations_beside_activations_leave_one(models: Any, make: Make) -> None:
    for _ in range(ROUNDS):
        resting = [await make() for _ in range(3)]
        await asyncio.gather(
            *(models.activate(model.id) for model in resting),
            *(make(name="born active", is_active=True) for _ in range(3)),
        )
        assert len(await active_ids(models)) == 1
    assert await models.count(name="born active") == 3 * ROUNDS


async def test_restores_beside_activations_leave_one_and_none_fails(
    models: Any, make: Make
) -> None:
    other = await make()
    for _ in range(ROUNDS):
        model = await make(is_active=True)
        await models.delete(model.id)
        await asyncio.gather(models.restore(model.id), models.activate(other.id))
        assert await active_ids(models) == [other.id]
        await models.deactivate(other.id)


async def test_many_for_the_same_people_in_any_order_never_wait_in_a_circle(
    models: Any, ada: User, bob: User
) -> None:
    new = {"name": "Warm", "status": "ready", "is_active": True}
    forth = [{**new, "user_id": user.id} for user in (ada, bob)]
    for _ in range(ROUNDS):
        await asyncio.gather(
            *(models.create_many(rows) for rows in (forth, forth[::-1]) for _ in range(3))
        )
        assert len(await active_ids(models)) == 2


async def test_of_two_activations_the_later_one_stays(
    digitwin_db: Database, models: Any, make: Make, until_waiting: UntilWaiting
) -> None:
    first, second = await make(), await make()
    async with asyncio.TaskGroup() as tasks:
        begun = asyncio.Event()

        async def later() -> None:
            await begun.wait()
            await models.activate(second.id)

        tasks.create_task(later())
        async with digitwin_db.transaction():
            await models.activate(first.id)
            begun.set()
            await until_waiting()
    assert await active_ids(models) == [second.id]


async def test_an_activation_that_is_rolled_back_lets_the_waiting_one_through(
    digitwin_db: Database, models: Any, make: Make, until_waiting: UntilWaiting
) -> None:
    first, second = await make(is_active=True), await make()
    async with asyncio.TaskGroup() as tasks:
        begun = asyncio.Event()

        async def waiting() -> None:
            await begun.wait()
            await models.activate(first.id)

        tasks.create_task(waiting())
        with pytest.raises(ZeroDivisionError):
            async with digitwin_db.transaction():
                await models.activate(second.id)
                begun.set()
                await until_waiting()
                raise ZeroDivisionError
    assert await active_ids(models) == [first.id]


async def test_an_activation_does_not_wait_for_another_persons(
    digitwin_db: Database, models: Any, make: Make, bob: User
) -> None:
    hers, his = await make(), await make(user_id=bob.id)
    begun, done = asyncio.Event(), asyncio.Event()

    async def bobs() -> None:
        await begun.wait()
        await models.activate(his.id)
        done.set()

    async with asyncio.timeout(4), asyncio.TaskGroup() as tasks:
        tasks.create_task(bobs())
        async with digitwin_db.transaction():
            await models.activate(hers.id)
            begun.set()
            await done.wait()


async def test_activation_and_the_deletion_of_the_owner_never_wait_in_a_circle(
    digitwin_db: Database, models: Any, make: Make, ada: User, until_waiting: UntilWaiting
) -> None:
    """The deletion has the oldest model, waits for the middle one, and is yet to come to the
    newest: an activation of the oldest must not have retired the newest meanwhile."""
    oldest, middle = await make(), await make()
    await make(is_active=True)
    begun = asyncio.Event()

    async def delete() -> None:
        await begun.wait()
        await digitwin_db.users.delete(ada.id)

    async def activate() -> None:
        await begun.wait()
        await until_waiting()
        with pytest.raises(NotFoundError):
            await models.activate(oldest.id)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(delete())
        tasks.create_task(activate())
        async with digitwin_db.transaction():
            await models.update(middle.id, name="Locked")
            begun.set()
            await until_waiting(2)
    assert await models.count() == 0


async def test_activating_what_is_missing_is_not_found(models: Any) -> None:
    for call in (models.activate, models.deactivate):
        with pytest.raises(NotFoundError):
            await call(uuid7())
