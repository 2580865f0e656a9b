"""With several handles open, a model says which one it speaks to, or it does not speak."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from tortoise.query_utils import Prefetch

from digitwin.database import Database
from digitwin.errors import InvalidStateError
from digitwin.models import (
    AuditLog,
    ConversationSession,
    ConversationTurn,
    KnowledgeDocument,
    SessionParticipant,
    User,
    VoiceModel,
)
from digitwin.testing import DatabaseFactory
from tests.integration.models.conftest import furnish

BARE: dict[str, Callable[[], Any]] = {
    "all": lambda: User.all(),
    "get": lambda: User.get(),
    "filter": lambda: VoiceModel.filter(name="Ada"),
    "first": lambda: ConversationTurn.first(),
    "count": lambda: User.all().count(),
    "exists": lambda: User.exists(name="Ada"),
    "values": lambda: User.all().values("name"),
    "raw": lambda: User.raw("SELECT * FROM users"),
    "update": lambda: User.all().update(name="New"),
    "delete": lambda: VoiceModel.all().delete(),
    "create": lambda: AuditLog.create(action="a", resource="r"),
    "bulk_create": lambda: AuditLog.bulk_create([AuditLog(action="a", resource="r")]),
    "bulk_update": lambda: User.bulk_update([], ["name"]),
    "get_or_create": lambda: SessionParticipant.get_or_create(ref="web"),
    "update_or_create": lambda: SessionParticipant.update_or_create(ref="web"),
    "in_bulk": lambda: User.in_bulk([], "id"),
    "prefetch": lambda: User.all().prefetch_related("documents"),
    "select_related": lambda: VoiceModel.all().select_related("user"),
    "save": lambda: AuditLog(action="a", resource="r").save(),
    "instance_delete": lambda: User(email="ada@example.com", name="Ada").delete(),
    "all_objects": lambda: User.all_objects.all(),
    "aiter": lambda: _collect(User.all()),
}


UNFIT = {"get_or_create", "update_or_create", "instance_delete"}
"""What gets as far as the database with a handle, and is refused there."""


async def _collect(rows: Any) -> list[Any]:
    return [row async for row in rows]


@pytest.fixture
async def twins(digitwin_db: Database, other: Database) -> tuple[Database, Database]:
    """Two handles whose rows say which is whose."""
    for db, name in ((digitwin_db, "one"), (other, "two")):
        await furnish(db, name)
    return digitwin_db, other


@pytest.mark.parametrize("use", BARE)
async def test_a_bare_model_does_not_choose(twins: Any, use: str) -> None:
    with pytest.raises(InvalidStateError, match=r"with db\.activate\(\):"):
        await BARE[use]()
    for db in twins:
        with db.activate():
            assert (
                await User.filter(name="New").count()
                == await AuditLog.filter(resource="r").count()
                == 0
            )


@pytest.mark.parametrize("use", sorted(BARE.keys() - UNFIT))
async def test_an_activated_handle_is_the_one(twins: Any, use: str) -> None:
    one, two = twins
    with two.activate():
        await BARE[use]()
    with one.activate():
        assert [(row.name, row.version) for row in await User.all()] == [("one", 1)]
        assert (
            await AuditLog.filter(resource="r").count()
            == await SessionParticipant.all().count()
            == 0
        )
        assert await VoiceModel.all().count() == 1


async def test_activation_nests_and_ends(twins: Any) -> None:
    one, two = twins
    with one.activate():
        with two.activate():
            assert (await User.get()).name == "two"
        assert (await User.get()).name == "one"
    with pytest.raises(InvalidStateError):
        await User.get()


async def test_a_query_belongs_to_the_handle_it_was_built_for(twins: Any) -> None:
    one, two = twins
    with one.activate():
        built = [User.all(), User.filter(), User.all_objects.all(), User.exclude(name="x")]
        counts = [User.all().count(), User.filter(name="one").count()]
    with two.activate():
        assert [[user.name for user in await query] for query in built] == [["one"]] * 4
    assert [await count for count in counts] == [1, 1]


async def test_a_query_built_for_nobody_is_asked_where_it_is_awaited(twins: Any) -> None:
    query, count = User.all(), User.filter(name="two").count()
    with twins[1].activate():
        assert [user.name for user in await query] == ["two"]
        assert await count == 1


async def test_each_task_activates_for_itself(twins: Any) -> None:
    async def read(db: Database, name: str) -> None:
        with db.activate():
            for _ in range(20):
                assert (await User.get()).name == name
                await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for db, name in zip(twins, ("one", "two"), strict=True):
            group.create_task(read(db, name))


async def rows_of(db: Database) -> list[Any]:
    """Rows of every way they can come from a handle."""
    user = (await db.users.list()).items[0]
    with db.activate():
        session = await ConversationSession.get()
        joined = await ConversationSession.all().select_related("user", "voice_model").get()
        fetched = await User.all().prefetch_related("sessions__turns", "documents").get()
        raw = await User.raw("SELECT * FROM users")
        return [
            user,
            await User.get(),
            await User.get_or_none(id=user.id),
            raw[0],
            await session.user,
            joined.user,
            (await User.get_or_create(id=user.id))[0],
            (await User.in_bulk([user.id], "id"))[user.id],
            fetched,
            await fetched.documents[0].user,
            await (await fetched.sessions[0].turns[0].session).user,
            await joined.voice_model.user,
            (await db.sessions.with_turns(session.id)).turns[0].session and await session.user,
            copy.copy(user),
            copy.deepcopy(user),
            pickle.loads(pickle.dumps(user)),
        ]


@pytest.mark.parametrize("activated", [None, 0, 1])
async def test_an_object_reads_from_where_it_came(twins: Any, activated: int | None) -> None:
    for db, name in zip(twins, ("one", "two"), strict=True):
        for user in await rows_of(db):
            if activated is None:
                await assert_reads(user, name)
            else:
                with twins[activated].activate():
                    await assert_reads(user, name)


async def assert_reads(user: Any, name: str) -> None:
    """Everything that can be reached from this person is of one database."""
    documents = await user.documents
    assert [document.title for document in documents] == [name]
    assert (await documents[0].user).name == name
    sessions = await user.sessions.all().prefetch_related("turns").select_related("voice_model")
    assert [turn.user_text for turn in sessions[0].turns] == [name]
    assert sessions[0].voice_model.name == name
    assert (await (await sessions[0].turns[0].session).user).name == name
    assert await user.documents.filter(title=name).count() == 1
    await user.refresh_from_db()
    assert user.name == name
    await user.fetch_related("voice_models", "sessions__turns")
    assert [voice.name for voice in user.voice_models] == [name]
    await User.fetch_for_list([user], "face_models")
    assert [face.name for face in user.face_models] == [name]
    own = await user.documents.all().prefetch_related(Prefetch("user", User.all()))
    assert own[0].user.name == name


async def test_objects_of_both_are_fetched_for_at_once(twins: Any) -> None:
    users = [(await db.users.list()).items[0] for db in twins]
    with twins[0].activate():
        await User.fetch_for_list(users, "documents")
    assert [[document.title for document in user.documents] for user in users] == [["one"], ["two"]]


async def test_an_object_is_saved_where_it_came_from(twins: Any) -> None:
    one, two = twins
    user = (await one.users.list()).items[0]
    with two.activate():
        user.name = "changed"
        await user.save()
        assert (await User.get()).name == "two"
    assert (await one.users.get(user.id)).name == "changed"


async def test_an_object_is_deleted_where_it_came_from(twins: Any) -> None:
    one, two = twins
    user = (await one.users.list()).items[0]
    with two.activate():
        await user.delete()
    assert (await one.users.count(), await two.users.count()) == (0, 1)


async def test_a_union_reads_from_one_handle(twins: Any) -> None:
    one, two = twins
    with one.activate():
        query = User.all().only("name").union(User.all().only("name"))
        users = await query
    with two.activate():
        assert [user.name for user in users] == ["one"]


async def test_the_rows_of_a_transaction_are_of_its_handle(twins: Any) -> None:
    one, two = twins
    async with one.transaction():
        with two.activate():
            assert (await User.get()).name == "two"
        assert (await one.users.list()).items[0].name == "one"


async def test_an_object_outlives_its_handle_but_reads_no_other(
    digitwin_db: Database, digitwin_db_factory: DatabaseFactory
) -> None:
    second = await digitwin_db_factory()
    user = await furnish(second, "two")
    await furnish(digitwin_db, "one")
    await second.close()
    assert user.name == "two"
    for use in (lambda: user.documents, user.save, user.delete, user.refresh_from_db):
        with pytest.raises(InvalidStateError, match=r"with db\.activate\(\):"):
            await use()
    with digitwin_db.activate():
        assert await user.documents == []
    assert [d.title for d in await KnowledgeDocument.all()] == ["one"]


async def test_no_handle_is_open_and_the_error_says_so(digitwin_db: Database) -> None:
    await digitwin_db.close()
    with pytest.raises(InvalidStateError, match=r"digitwin\.connect\(\)"):
        await User.all()
