"""Event loops one after another, and beside another application's Tortoise."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from tortoise import fields
from tortoise.context import TortoiseContext
from tortoise.functions import Count
from tortoise.models import Model

from digitwin.connecting import connect
from digitwin.database import Database
from digitwin.errors import InvalidStateError
from digitwin.models import User


def test_a_handle_for_each_loop(digitwin_url: str) -> None:
    """As in a script that calls ``asyncio.run`` again and again."""

    async def work(n: int) -> int:
        async with connect(digitwin_url) as db:
            async with db.transaction():
                await db.users.create(email=f"{n}@example.com", name="Ada")
            assert await User.all().count() == n + 1
            return await db.users.count()

    assert [asyncio.run(work(n)) for n in range(3)] == [1, 2, 3]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:Exception ignored")
def test_after_a_loop_that_never_closed_its_handle(digitwin_url: str) -> None:
    """What it left behind is not in the way of the next."""

    async def leave_open() -> Database:
        db = await connect(digitwin_url)
        await db.users.create(email="ada@example.com", name="Ada")
        return db

    async def work() -> int:
        async with connect(digitwin_url):
            return await User.all().count()

    left = asyncio.run(leave_open())
    assert asyncio.run(work()) == 1
    del left
    gc.collect()


def test_a_handle_of_another_loop_is_refused(digitwin_url: str) -> None:
    """Instead of hanging, or failing with an error of asyncio's."""
    loop = asyncio.new_event_loop()
    db = loop.run_until_complete(connect(digitwin_url)._open())

    async def use() -> None:
        with pytest.raises(InvalidStateError, match="another event loop"):
            await db.users.count()
        with pytest.raises(InvalidStateError, match="another event loop"):
            async with db.transaction():
                pass
        assert not await db.ready()

    asyncio.run(use())
    assert loop.run_until_complete(db.ready())
    assert loop.run_until_complete(db.users.count()) == 0
    loop.run_until_complete(db.close())
    loop.close()


class Neighbour(Model):
    """A model of an application that has nothing to do with ours."""

    id = fields.IntField(primary_key=True)
    name = fields.CharField(max_length=50)

    class Meta:
        table = "neighbours"


class Remark(Model):
    """Another, with a column that in one of ours would hide the row."""

    neighbour: fields.ForeignKeyRelation[Neighbour] = fields.ForeignKeyField(
        "models.Neighbour", related_name="remarks"
    )
    deleted_at = fields.DatetimeField(null=True)

    class Meta:
        table = "remarks"


@pytest.fixture
async def neighbour() -> AsyncIterator[TortoiseContext]:
    """That application, as it would start itself: Tortoise on a SQLite database."""
    config = {
        "connections": {"default": "sqlite://:memory:"},
        "apps": {"models": {"models": [__name__], "default_connection": "default"}},
    }
    async with TortoiseContext() as context:
        await context.init(config=config)
        await context.generate_schemas()
        yield context


@pytest.mark.usefixtures("neighbour")
async def test_another_tortoise_application_is_left_alone(digitwin_url: str) -> None:
    await Neighbour.create(name="before")
    async with connect(digitwin_url) as db:
        await Neighbour.create(name="beside")
        async with db.transaction():
            await db.users.create(email="ada@example.com", name="Ada")
            await Neighbour.create(name="inside")
        assert await User.all().count() == 1
        assert await Neighbour.all().count() == 3
    names = [found.name for found in await Neighbour.all().order_by("id")]
    assert names == ["before", "beside", "inside"]


@pytest.mark.usefixtures("neighbour")
async def test_what_others_join_is_theirs_to_hide(digitwin_url: str) -> None:
    async with connect(digitwin_url):
        ours = await Neighbour.create(name="gone")
        await Remark.create(neighbour=ours, deleted_at=datetime.now(UTC))
        assert await Neighbour.annotate(n=Count("remarks")).values("n") == [{"n": 1}]
        assert await Neighbour.filter(remarks__isnull=False).count() == 1
        assert await Neighbour.filter(remarks__neighbour__name="gone").count() == 1
        assert await Neighbour.all().values("remarks__id") == [{"remarks__id": 1}]
        assert (await Remark.all().select_related("neighbour").get()).neighbour.name == "gone"
