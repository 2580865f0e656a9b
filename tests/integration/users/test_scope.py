"""Under ``for_user`` there is nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from digitwin.database import Database
from digitwin.errors import NotFoundError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import User
from digitwin.users.repository import UserRepository


@pytest.fixture
def his(digitwin_db: Database, bob: User) -> UserRepository:
    """What Bob sees."""
    return digitwin_db.for_user(bob.id).users


@pytest.mark.parametrize("method", ["get", "delete", "hard_delete", "restore"])
async def test_another_person_is_not_found(
    users: UserRepository, his: UserRepository, ada: User, method: str
) -> None:
    with pytest.raises(NotFoundError) as error:
        await getattr(his, method)(ada.id)
    assert error.value.details["field"] == "id"
    assert vars(await users.get(ada.id)) == vars(ada)


@pytest.mark.parametrize("changes", [{"name": "Mine"}, {"email": "mine@example.com"}])
async def test_another_person_is_not_changed(
    users: UserRepository, his: UserRepository, ada: User, changes: dict[str, Any]
) -> None:
    for expected in (None, ada.version):
        with pytest.raises(NotFoundError):
            await his.update(ada.id, expected_version=expected, **changes)
    assert vars(await users.get(ada.id)) == vars(ada)
    assert await users.find_by_email("mine@example.com") is None


async def test_another_persons_deletion_is_not_taken_back(
    users: UserRepository, his: UserRepository, ada: User
) -> None:
    await users.delete(ada.id)
    with pytest.raises(NotFoundError):
        await his.restore(ada.id)
    assert await users.find(ada.id) is None


async def test_another_person_is_nowhere_found(
    users: UserRepository, his: UserRepository, ada: User, bob: User
) -> None:
    assert await his.find(ada.id) is None
    assert await his.find_by_email(ada.email) is None
    with pytest.raises(NotFoundError):
        await his.get_by_email(ada.email)
    assert [user.id for user in (await his.list(include_deleted=True)).items] == [bob.id]
    assert [user.id async for user in his.stream(include_deleted=True)] == [bob.id]
    assert await his.count() == 1
    assert not await his.exists(name=ada.name)
    assert not await his.exists(email=ada.email)


async def test_naming_another_person_is_not_found(
    his: UserRepository, ada: User, bob: User
) -> None:
    for id in (ada.id, bob.id):
        with pytest.raises(NotFoundError) as error:
            await his.get(id, user_id=ada.id)
        assert error.value.details["field"] == "user_id"


async def test_another_person_is_not_created(users: UserRepository, his: UserRepository) -> None:
    given: Any = {"id": uuid7(), "email": "new@example.com", "name": "New"}
    for call in (his.create(**given), his.create_many([given])):
        with pytest.raises(NotFoundError):
            await call
    assert await users.count() == 1


async def test_the_person_of_the_scope_can_be_created(digitwin_db: Database) -> None:
    id = uuid7()
    made = await digitwin_db.for_user(id).users.create(email="new@example.com", name="New")
    assert made.id == id


async def test_ones_own_can_be_read_changed_deleted_and_restored(
    his: UserRepository, bob: User
) -> None:
    assert (await his.get(bob.id, user_id=bob.id)).id == bob.id
    assert (await his.get_by_email(bob.email)).id == bob.id
    assert (await his.update(bob.id, email="robert@example.com")).version == 2
    await his.delete(bob.id)
    assert await his.count() == 0
    assert (await his.restore(bob.id)).email == "robert@example.com"
    await his.hard_delete(bob.id)
    assert await his.find(bob.id, include_deleted=True) is None


async def test_a_scope_joins_the_transaction_around_it(
    digitwin_db: Database, users: UserRepository, bob: User
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await digitwin_db.for_user(bob.id).users.update(bob.id, name="Robert")
            raise ZeroDivisionError
    assert (await users.get(bob.id)).name == "Bob"
