"""Memories with a time to live, by the clock of the database, which may jump."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest

from digitwin import FindMemory, PutMemory
from digitwin.database import Database
from digitwin.memories.repository import MemoryRepository
from digitwin.models import User

N = ("n",)
DAY = 86_400


async def passes(raw: asyncpg.Connection, seconds: float) -> None:
    """As if so much time had gone by."""
    await raw.execute(
        "UPDATE memories SET expires_at = expires_at - make_interval(secs => $1),"
        " created_at = created_at - make_interval(secs => $1)",
        seconds,
    )


async def test_what_has_expired_is_not_there(
    hers: MemoryRepository, raw: asyncpg.Connection
) -> None:
    await hers.put(N, "a", {"v": 1}, ttl=DAY)
    kept = await hers.get(N, "a")
    assert kept.expires_at == kept.created_at + timedelta(days=1)
    await passes(raw, DAY)
    assert await hers.find(N, "a", refresh=True) is None
    assert await hers.search() == await hers.search(query="a") == await hers.namespaces() == []
    assert await hers.delete(N, "a") is False


async def test_what_is_put_again_after_its_end_begins_anew(
    hers: MemoryRepository, raw: asyncpg.Connection
) -> None:
    await hers.put(N, "a", {"v": 1}, ttl=DAY)
    await passes(raw, DAY)
    assert await hers.batch([PutMemory(N, "a", {"v": 2})]) == [None]
    again = await hers.get(N, "a")
    assert again.created_at == again.updated_at


async def test_a_reader_has_the_time_count_anew(
    hers: MemoryRepository, raw: asyncpg.Connection
) -> None:
    await hers.put(N, "a", {"v": 1}, ttl=DAY)
    await hers.put(N, "b", {"v": 1})
    await passes(raw, DAY / 2)
    early = (await hers.get(N, "a")).expires_at
    assert early == (await hers.get(N, "a")).expires_at
    [hit] = await hers.search(filter={"v": 1}, refresh=True, limit=1, offset=1)
    assert early is not None
    assert hit.memory.expires_at is not None
    assert hit.memory.expires_at - early >= timedelta(days=0.5)
    assert (await hers.get(N, "a")).expires_at == hit.memory.expires_at
    assert (await hers.get(N, "b", refresh=True)).expires_at is None
    await passes(raw, DAY / 2)
    [found] = await hers.batch([FindMemory(N, "a", refresh=True)])
    assert found == await hers.get(N, "a")


async def test_frequent_readers_write_nothing(
    hers: MemoryRepository, raw: asyncpg.Connection
) -> None:
    await hers.put(N, "a", {}, ttl=DAY)
    await passes(raw, DAY / 200)
    version = await raw.fetchval("SELECT xmin FROM memories")
    await hers.get(N, "a", refresh=True)
    assert await raw.fetchval("SELECT xmin FROM memories") == version


async def test_a_reader_waits_for_no_writer(
    hers: MemoryRepository, raw: asyncpg.Connection
) -> None:
    await hers.put(N, "a", {"v": 1}, ttl=DAY)
    await passes(raw, DAY / 2)
    async with raw.transaction():
        await raw.execute("SELECT FROM memories FOR UPDATE")
        assert (await hers.get(N, "a", refresh=True)).value == {"v": 1}


async def test_one_of_a_clock_that_was_ahead_ends_in_time_once_it_is_read(
    hers: MemoryRepository, raw: asyncpg.Connection
) -> None:
    await hers.put(N, "a", {"v": 1}, ttl=DAY)
    await passes(raw, -30 * DAY)
    found = await hers.get(N, "a", refresh=True)
    assert found.expires_at is not None
    now = await raw.fetchval("SELECT clock_timestamp()")
    assert found.expires_at - now <= timedelta(days=1)


@pytest.mark.parametrize("under", ["for_user", "db"])
async def test_a_standby_reads_without_a_write(
    digitwin_db: Database, hers: MemoryRepository, raw: asyncpg.Connection, ada: User, under: str
) -> None:
    await hers.put(N, "a", {"v": 1}, ttl=DAY)
    await passes(raw, DAY / 2)
    memories = hers if under == "for_user" else digitwin_db.memories
    async with digitwin_db.transaction():
        await digitwin_db._core.db.execute("SET TRANSACTION READ ONLY")
        found = await memories.get(N, "a", refresh=True, user_id=ada.id)
    assert found.value == {"v": 1}


async def test_maintenance_removes_what_has_expired(
    digitwin_db: Database, hers: MemoryRepository, raw: asyncpg.Connection
) -> None:
    await hers.batch([PutMemory(N, str(n), {}, ttl=DAY) for n in range(600)])
    await passes(raw, DAY)
    await hers.put(N, "later", {}, ttl=DAY)
    await hers.put(N, "for good", {})
    report = await digitwin_db.maintain()
    assert report.counts["expired_memories"] == 600
    assert await raw.fetchval("SELECT array_agg(key ORDER BY key) FROM memories") == [
        "for good",
        "later",
    ]
