"""What is remembered under a namespace and a key: for one person and audience, until forgotten."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import InvalidInputError, NotFoundError
from digitwin.kernel.connection.transactions import outside
from digitwin.kernel.primitives.ids import uuid7
from digitwin.memories.repository import MemoryRepository
from digitwin.models import User
from tests.integration.privacy.conftest import read
from tests.support.waiting import UntilWaiting

FOOD = ("preferences", "food")


async def test_what_was_put_comes_back(hers: MemoryRepository) -> None:
    value = {"likes": ["pizza", "東京"], "spicy": None, "times": 1.5, "more": {"": True}}
    await hers.put(FOOD, "dinner", value)
    found = await hers.get(list(FOOD), "dinner")
    assert (found.namespace, found.key, found.value) == (FOOD, "dinner", value)
    assert found.created_at == found.updated_at
    assert found.expires_at is None
    assert await hers.find(FOOD, "lunch") is None
    with pytest.raises(NotFoundError, match="memory not found"):
        await hers.get(("preferences",), "dinner")


async def test_a_new_value_takes_the_place_of_the_old(hers: MemoryRepository) -> None:
    await hers.put(FOOD, "dinner", {"likes": "pizza"}, ttl=60)
    first = await hers.get(FOOD, "dinner")
    await hers.put(FOOD, "dinner", {"avoids": "nuts"})
    second = await hers.get(FOOD, "dinner")
    assert second.value == {"avoids": "nuts"}
    assert second.created_at == first.created_at
    assert second.updated_at > first.updated_at
    assert second.expires_at is None


async def test_what_is_forgotten_is_gone(hers: MemoryRepository, raw: asyncpg.Connection) -> None:
    await hers.put(FOOD, "dinner", {"likes": "pizza"})
    assert await hers.delete(FOOD, "dinner") is True
    assert await hers.delete(FOOD, "dinner") is False
    assert await raw.fetchval("SELECT count(*) FROM memories") == 0


async def test_each_person_and_each_audience_has_its_own(
    digitwin_db: Database, hers: MemoryRepository, ada: User, bob: User
) -> None:
    await hers.put(FOOD, "dinner", {"for": "her"})
    others = [
        (digitwin_db.for_user(bob.id).memories, {}),
        (digitwin_db.memories, {"user_id": bob.id}),
        (hers, {"audience": "visitor"}),
    ]
    for memories, whose in others:
        assert await memories.find(FOOD, "dinner", **whose) is None
        assert await memories.search(**whose) == []
        assert await memories.namespaces(**whose) == []
        assert await memories.delete(FOOD, "dinner", **whose) is False
    await hers.put(FOOD, "dinner", {"for": "them"}, audience="visitor")
    assert (await hers.get(FOOD, "dinner")).value == {"for": "her"}
    assert (await digitwin_db.memories.get(FOOD, "dinner", user_id=ada.id)).value == {"for": "her"}
    with pytest.raises(NotFoundError):
        await hers.find(FOOD, "dinner", user_id=bob.id)


async def test_only_another_persons_memory_is_refused_on_record(
    digitwin_db: Database, hers: MemoryRepository, bob: User
) -> None:
    with pytest.raises(NotFoundError, match="memory not found"):
        await hers.get(FOOD, "dinner")
    with pytest.raises(NotFoundError, match="user not found"):
        await hers.put(FOOD, "dinner", {}, user_id=bob.id)
    denied = (await digitwin_db.audit.list(result="denied")).items
    assert [record.action for record in denied] == ["memory.put"]


async def test_it_is_hidden_with_its_person_and_comes_back(
    digitwin_db: Database, hers: MemoryRepository, ada: User, raw: asyncpg.Connection
) -> None:
    await hers.put(FOOD, "dinner", {"likes": "pizza"})
    await digitwin_db.users.delete(ada.id)
    assert await hers.find(FOOD, "dinner") is None
    assert await hers.search() == await hers.search(query="pizza") == await hers.namespaces() == []
    assert await hers.delete(FOOD, "dinner") is False
    with pytest.raises(NotFoundError, match="user not found"):
        await hers.put(FOOD, "lunch", {})
    await digitwin_db.users.restore(ada.id)
    assert (await hers.get(FOOD, "dinner")).value == {"likes": "pizza"}
    await digitwin_db.users.delete(ada.id)
    await digitwin_db.users.hard_delete(ada.id)
    assert await raw.fetchval("SELECT count(*) FROM memories") == 0


async def test_nobody_is_remembered_who_is_not_there(digitwin_db: Database) -> None:
    with pytest.raises(NotFoundError, match="user not found"):
        await digitwin_db.memories.put(FOOD, "dinner", {}, user_id=uuid7())
    with pytest.raises(InvalidInputError, match="user_id is missing"):
        await digitwin_db.memories.put(FOOD, "dinner", {})


async def test_it_is_exported_and_erased(
    digitwin_db: Database, hers: MemoryRepository, ada: User, raw: asyncpg.Connection
) -> None:
    await hers.put(FOOD, "dinner", {"likes": "pizza"}, audience="visitor")
    archive = await read(digitwin_db.privacy.export(ada.id))
    (row,) = archive.rows("data/memories.ndjson")
    assert (row["namespace"], row["key"], row["audience"], row["value"]) == (
        *("preferences.food", "dinner", "visitor"),
        {"likes": "pizza"},
    )
    receipt = await digitwin_db.privacy.erase(ada.id, reason="asked for it")
    assert receipt.counts["memories"] == 1
    assert await raw.fetchval("SELECT count(*) FROM memories") == 0


async def test_it_belongs_to_the_transaction(digitwin_db: Database, hers: MemoryRepository) -> None:
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await hers.put(FOOD, "dinner", {"likes": "pizza"})
            assert await hers.find(FOOD, "dinner") is not None
            raise ZeroDivisionError
    assert await hers.find(FOOD, "dinner") is None


async def test_none_is_added_beside_the_deletion_of_its_person(
    digitwin_db: Database, hers: MemoryRepository, ada: User, until_waiting: UntilWaiting
) -> None:
    async with digitwin_db.transaction():
        await digitwin_db.users.delete(ada.id)
        put = asyncio.create_task(_put_elsewhere(hers))
        await until_waiting(1)
    with pytest.raises(NotFoundError, match="user not found"):
        await put


async def _put_elsewhere(memories: MemoryRepository) -> None:
    with outside():
        await memories.put(FOOD, "dinner", {})


BAD: list[tuple[dict[str, Any], str]] = [
    ({"namespace": ()}, "namespace"),
    ({"namespace": "food"}, "namespace"),
    ({"namespace": ("a.b",)}, "namespace"),
    ({"namespace": ("a", "")}, "namespace"),
    ({"namespace": ("a", 1)}, "namespace"),
    ({"namespace": ("é" * 500, "a")}, "namespace"),
    ({"namespace": ("a",) * 101}, "namespace"),
    ({"namespace": ("\ud800",)}, "namespace"),
    ({"namespace": iter(("a",))}, "namespace"),  # read once, it would be empty
    ({"key": ""}, "key"),
    ({"key": "é" * 501}, "key"),
    ({"key": "a\0"}, "key"),
    ({"value": ["pizza"]}, "value"),
    ({"value": {"a": float("nan")}}, "value"),
    ({"value": {"a": "x" * 1_048_576}}, "value"),
    ({"ttl": 0}, "ttl"),
    ({"ttl": 101 * 366 * 86_400}, "ttl"),
    ({"text": "x" * 200_001}, "text"),
    ({"text": "\ud800"}, "text"),
    ({"language": ""}, "language"),
    ({"audience": "everybody"}, "audience"),
]


async def test_bad_input_names_its_field(hers: MemoryRepository) -> None:
    for given, field in BAD:
        with pytest.raises(InvalidInputError) as refused:
            await hers.put(**{"namespace": FOOD, "key": "k", "value": {}, **given})
        assert str(refused.value).startswith(field)
        assert refused.value.details["field"].partition("[")[0] == field


async def test_the_longest_names_fit(hers: MemoryRepository) -> None:
    namespace, key = ("é" * 499, "b"), "é" * 500
    await hers.put(namespace, key, {})
    assert (await hers.get(namespace, key)).namespace == namespace
    assert await hers.namespaces(prefix=namespace[:1]) == [namespace]


async def test_nothing_of_it_is_in_a_repr(hers: MemoryRepository) -> None:
    await hers.put(("secret",), "secret", {"secret": "secret"})
    assert "secret" not in repr(await hers.search(("secret",), query="secret"))
