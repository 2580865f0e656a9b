"""Under ``for_user`` another person's models do not exist."""

from __future__ import annotations

from typing import Any

import pytest

from digitwin.database import Database
from digitwin.errors import NotFoundError
from digitwin.models import User
from tests.integration.likeness.conftest import Make, Model, active_ids


@pytest.fixture
async def his(digitwin_db: Database, kind: str, bob: User) -> Any:
    """What Bob sees."""
    return getattr(digitwin_db.for_user(bob.id), kind)


@pytest.fixture
async def hers(make: Make) -> Model:
    """What Bob must not see."""
    return await make(is_active=True)


@pytest.mark.parametrize("method", ["get", "delete", "hard_delete", "activate", "deactivate"])
async def test_another_persons_model_is_not_found(
    models: Any, his: Any, hers: Model, method: str
) -> None:
    with pytest.raises(NotFoundError):
        await getattr(his, method)(hers.id)
    left = await models.get(hers.id)
    assert (left.version, left.is_active) == (hers.version, True)


@pytest.mark.parametrize("changes", [{"name": "Mine"}, {"status": "training"}])
async def test_another_persons_model_is_not_changed(
    models: Any, his: Any, hers: Model, changes: dict[str, Any]
) -> None:
    with pytest.raises(NotFoundError):
        await his.update(hers.id, **changes)
    assert (await models.get(hers.id)).version == hers.version


async def test_another_persons_deletion_is_not_taken_back(
    models: Any, his: Any, hers: Model
) -> None:
    await models.delete(hers.id)
    with pytest.raises(NotFoundError):
        await his.restore(hers.id)
    assert await his.find(hers.id, include_deleted=True) is None


async def test_nothing_of_another_persons_is_listed_or_counted(his: Any, hers: Model) -> None:
    assert await his.find(hers.id) is None
    assert (await his.list(include_deleted=True)).items == []
    assert [model async for model in his.stream(include_deleted=True)] == []
    assert await his.count(include_deleted=True) == 0
    assert not await his.exists(name=hers.name)
    assert await his.active_for() is None


async def test_naming_another_person_is_not_found(his: Any, hers: Model, ada: User) -> None:
    new = {"user_id": ada.id, "name": "Hers"}
    for call in (
        his.create(**new),
        his.create_many([new]),
        his.get(hers.id, user_id=ada.id),
        his.find(hers.id, user_id=ada.id),
        his.list(user_id=ada.id),
        his.count(user_id=ada.id),
        his.exists(user_id=ada.id),
        his.active_for(ada.id),
    ):
        with pytest.raises(NotFoundError) as error:
            await call
        assert error.value.details["field"] == "user_id"
    with pytest.raises(NotFoundError):
        _ = [model async for model in his.stream(user_id=ada.id)]


async def test_the_owner_may_be_left_out(models: Any, his: Any, hers: Model, bob: User) -> None:
    new = {"name": "His", "status": "ready"}
    first = await his.create(**new)
    [second] = await his.create_many([{**new, "is_active": True}])
    await his.activate(first.id)
    assert (first.user_id, second.user_id) == (bob.id, bob.id)
    assert (await his.active_for()).id == first.id
    assert await active_ids(models) == [hers.id, first.id]
