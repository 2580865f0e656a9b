"""Several handles in one process: each call and each model knows its own database."""

from __future__ import annotations

import asyncio

import pytest

from digitwin.database import Database
from digitwin.errors import InvalidStateError
from digitwin.models import User
from digitwin.testing import DatabaseFactory


@pytest.fixture
async def other(digitwin_db_factory: DatabaseFactory) -> Database:
    """A second handle, on another database."""
    return await digitwin_db_factory()


async def fill(db: Database, name: str, count: int) -> None:
    for n in range(count):
        user = await db.users.create(email=f"{n}@example.com", name=name)
        await db.documents.create(user_id=user.id, title=name, content="Some words.")
        assert (await db.users.get(user.id)).name == name


async def test_data_is_never_mixed(digitwin_db: Database, other: Database) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(1):
            group.create_task(fill(digitwin_db, "one", 20))
            group.create_task(fill(other, "two", 20))
    for db, name in ((digitwin_db, "one"), (other, "two")):
        assert {user.name async for user in db.users.stream()} == {name}
        assert {document.title async for document in db.documents.stream()} == {name}
        assert await db.users.count() == 20


async def test_a_transaction_of_one_does_not_hold_the_other(
    digitwin_db: Database, other: Database
) -> None:
    with pytest.raises(LookupError):
        async with digitwin_db.transaction():
            await digitwin_db.users.create(email="ada@example.com", name="one")
            async with other.transaction():
                await other.users.create(email="ada@example.com", name="two")
            await digitwin_db.users.create(email="bob@example.com", name="one")
            raise LookupError
    assert await digitwin_db.users.count() == 0
    assert await other.users.count() == 1


async def test_one_opened_in_a_task_of_the_others(
    digitwin_db: Database, digitwin_db_factory: DatabaseFactory
) -> None:
    async def nested() -> None:
        async with await digitwin_db_factory() as inner:
            await fill(inner, "two", 3)
            await fill(digitwin_db, "one", 3)
            assert await inner.users.count() == await digitwin_db.users.count() == 3

    async with digitwin_db.transaction():
        pass
    await asyncio.create_task(nested())
    assert {user.name async for user in digitwin_db.users.stream()} == {"one"}


async def test_models_work_from_any_task_while_one_handle_is_open(digitwin_db: Database) -> None:
    await fill(digitwin_db, "one", 1)
    user = await User.get(name="one")
    assert [document.title for document in await user.documents] == ["one"]


@pytest.mark.usefixtures("other")
async def test_a_model_alone_does_not_choose_between_two(digitwin_db: Database) -> None:
    await fill(digitwin_db, "one", 1)
    with pytest.raises(InvalidStateError, match=r"with db\.activate\(\):"):
        await User.all().count()


async def test_activate_chooses(digitwin_db: Database, other: Database) -> None:
    await fill(digitwin_db, "one", 2)
    await fill(other, "two", 3)
    with digitwin_db.activate():
        assert await User.all().count() == 2
        with other.activate():
            assert await User.all().count() == 3
        assert {user.name for user in await User.all()} == {"one"}


async def test_a_relation_leads_to_the_database_its_object_came_from(
    digitwin_db: Database, other: Database
) -> None:
    await fill(digitwin_db, "one", 1)
    await fill(other, "two", 1)
    user = (await digitwin_db.users.list()).items[0]
    document = (await other.documents.list()).items[0]
    with other.activate():
        assert [found.title for found in await user.documents] == ["one"]
    with digitwin_db.activate():
        assert (await document.user).name == "two"


async def test_when_one_closes_the_other_is_the_only_one_again(
    digitwin_db: Database, other: Database
) -> None:
    await fill(other, "two", 1)
    await digitwin_db.close()
    assert {user.name for user in await User.all()} == {"two"}
