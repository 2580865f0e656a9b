"""Several things in one transaction."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

import digitwin
from digitwin import DeleteMemory, FindMemory, ListNamespaces, PutMemory, SearchMemories
from digitwin.database import Database
from digitwin.errors import InvalidInputError, NotFoundError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.memories.repository import MemoryRepository
from digitwin.models import User
from tests.support.waiting import UntilWaiting

N = ("n",)


async def test_what_reads_sees_nothing_of_what_is_written(hers: MemoryRepository) -> None:
    await hers.put(N, "old", {"v": 1})
    done = await hers.batch(
        [
            PutMemory(("m",), "new", {"v": 2}),
            DeleteMemory(N, "old"),
            FindMemory(N, "old"),
            FindMemory(("m",), "new"),
            SearchMemories(),
            ListNamespaces(),
            DeleteMemory(N, "nothing"),
        ]
    )
    put, deleted, old, new, hits, namespaces, nothing = done
    assert (put, deleted, new, nothing) == (None, True, None, False)
    assert isinstance(old, digitwin.Memory)
    assert old.value == {"v": 1}
    assert isinstance(hits, list)
    assert [hit.memory.key for hit in hits] == ["old"]  # type: ignore[union-attr]
    assert namespaces == [N]
    assert await hers.namespaces() == [("m",)]


async def test_of_several_writes_to_a_place_the_last_counts(hers: MemoryRepository) -> None:
    await hers.batch(
        [PutMemory(N, "a", {"v": 1}), DeleteMemory(N, "a"), PutMemory(N, "a", {"v": 2})]
    )
    assert (await hers.get(N, "a")).value == {"v": 2}
    done = await hers.batch([PutMemory(N, "a", {"v": 3}), DeleteMemory(N, "a")])
    assert done == [None, True]
    assert await hers.find(N, "a") is None


async def test_all_or_none(digitwin_db: Database, hers: MemoryRepository) -> None:
    with pytest.raises(InvalidInputError):
        await hers.batch([PutMemory(N, "a", {}), PutMemory(N, "", {})])
    with pytest.raises(NotFoundError, match="user not found"):
        await digitwin_db.memories.batch([PutMemory(N, "a", {})] * 2, user_id=uuid7())
    assert await hers.search() == []
    assert await hers.batch([]) == []


BAD: list[Any] = [
    "put",
    [None],
    [("put", N, "k", {})],
    [FindMemory(N, "k")] * 1001,
    [FindMemory(N, "k", refresh=1)],  # type: ignore[arg-type]
    [PutMemory(N, str(n), {"v": "x" * 1_000_000}) for n in range(17)],
    [PutMemory(N, str(n), {"v": "東" * 340_000}) for n in range(17)],
]


async def test_bad_operations_are_refused(hers: MemoryRepository) -> None:
    for operations in BAD:
        with pytest.raises(InvalidInputError):
            await hers.batch(operations)


async def test_batches_in_any_order_wait_for_each_other(hers: MemoryRepository) -> None:
    """Each locks its rows in one order, so that none is the victim of a deadlock."""
    keys = [f"k{n}" for n in range(20)]
    for round_ in range(10):
        await asyncio.gather(
            *(
                hers.batch(
                    [
                        *(PutMemory(N, key, {"by": by}) for key in keys[:: 1 if by % 2 else -1]),
                        *(DeleteMemory(N, key) for key in keys[by::4]),
                    ]
                )
                for by in range(4)
            ),
            hers.batch([DeleteMemory(N, key) for key in keys[::-1]]),
        )
        assert len({str(hit.memory.value) for hit in await hers.search(N)}) <= 1, round_


async def test_nothing_is_deleted_at_the_root(hers: MemoryRepository) -> None:
    assert await hers.batch([PutMemory(N, "a", {}), DeleteMemory((), "a")]) == [None, False]
    assert await hers.find(N, "a") is not None


async def test_what_a_batch_refreshes_waits_for_no_write(
    hers: MemoryRepository, raw: asyncpg.Connection, until_waiting: UntilWaiting
) -> None:
    """One that holds what it refreshed while it waits to write is half of a deadlock."""
    await _half_gone(hers, raw, "a", "z")
    async with raw.transaction():
        await raw.execute("SELECT FROM memories WHERE key = 'a' FOR UPDATE")
        batch = asyncio.create_task(
            hers.batch([FindMemory(N, "z", refresh=True), PutMemory(N, "a", {})])
        )
        await until_waiting(1)
        await raw.execute("SELECT FROM memories WHERE key = 'z' FOR UPDATE NOWAIT")
    await batch


async def test_what_a_batch_writes_it_does_not_refresh(
    hers: MemoryRepository, raw: asyncpg.Connection
) -> None:
    await _half_gone(hers, raw, "a", "b", "c")
    before = {key: (await hers.get(N, key)).expires_at for key in "abc"}
    a, b, c, *_ = await hers.batch(
        [
            *(FindMemory(N, key, refresh=True) for key in "abc"),
            PutMemory(N, "b", {}, ttl=60),
            DeleteMemory(N, "c"),
        ]
    )
    assert (b.expires_at, c.expires_at) == (before["b"], before["c"])  # type: ignore[union-attr]
    assert a == await hers.get(N, "a")
    assert a.expires_at != before["a"]  # type: ignore[union-attr]
    again = await hers.get(N, "b")
    assert again.expires_at == again.updated_at + timedelta(minutes=1)
    assert await hers.find(N, "c") is None


async def _half_gone(hers: MemoryRepository, raw: asyncpg.Connection, *keys: str) -> None:
    """Put memories of which half the time to live has passed."""
    await hers.batch([PutMemory(N, key, {}, ttl=86_400) for key in keys])
    await raw.execute("UPDATE memories SET expires_at = expires_at - interval '12 hours'")


async def test_two_handles_see_each_others(
    digitwin_db: Database, digitwin_url: str, ada: User, hers: MemoryRepository
) -> None:
    async with digitwin.connect(digitwin_url) as other:
        await other.memories.put(N, "a", {"v": 1}, user_id=ada.id)
        assert (await hers.get(N, "a")).value == {"v": 1}


async def test_the_permission_to_delete_ends_with_the_statement(
    digitwin_db: Database, ada: User
) -> None:
    memories = digitwin_db.memories
    await memories.put(("a",), "k", {}, user_id=ada.id)
    async with digitwin_db.transaction():
        for there in (True, False):
            assert await memories.delete(("a",), "k", user_id=ada.id) is there
            setting = "SELECT current_setting('digitwin.allow_hard_delete', true)"
            assert await digitwin_db._core.db.fetchval(setting) != "on"
