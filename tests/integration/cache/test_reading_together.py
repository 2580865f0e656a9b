"""Concurrent reads of the cache share statements, and each gets its own entry."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from digitwin.connecting import connect
from digitwin.database import Database
from digitwin.kernel.connection.connections import Connection
from tests.integration.cache.conftest import ADA, BOB, TABLES
from tests.support.plans import explain_generic, kinds, scans_of

KEYS = [f"key {n}" for n in range(40)]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The reads of cached values, as they are sent."""
    statements: list[str] = []
    ask = Connection.ask

    async def told(self: Connection, method: str, sql: str, *args: Any) -> Any:
        if sql.startswith("SELECT") and "llm_response_cache" in sql:
            statements.append(sql)
        return await ask(self, method, sql, *args)

    monkeypatch.setattr(Connection, "ask", told)
    return statements


async def fill(db: Database) -> None:
    """Every second key, three times."""
    put = db.cache.responses.set
    for key in KEYS[::2]:
        await put(key, {"of": "nobody", "key": key})
        await put(key, {"of": "ada", "key": key}, user_id=ADA)
        await put(key, {"of": "guests", "key": key}, user_id=ADA, audience="visitor")


@pytest.mark.parametrize("remembered", [0, 1000])
async def test_each_gets_its_own(digitwin_url: str, sent: list[str], remembered: int) -> None:
    """Entries of nobody, of a person, for visitors, and those that do not exist."""
    async with connect(digitwin_url, cache_memory_entries=remembered) as db:
        await fill(db)
        get = db.cache.responses.get
        answers = await asyncio.gather(
            *(get(key) for key in KEYS),
            *(get(key, user_id=ADA) for key in KEYS),
            *(get(key, user_id=ADA, audience="visitor") for key in KEYS),
            *(get(key, user_id=BOB) for key in KEYS),
        )
        expected = [
            {"of": of, "key": key} if n % 2 == 0 and of else None
            for of in ("nobody", "ada", "guests", None)
            for n, key in enumerate(KEYS)
        ]
        assert answers == expected
        assert len(sent) < 10
        found = (await db.cache.statistics())["responses"]
        assert (found.hits, found.misses) == (60, 100)


async def test_an_expired_entry_is_not_found_among_others(
    digitwin_db: Database, raw: asyncpg.Connection
) -> None:
    store = digitwin_db.cache.embeddings
    for key in KEYS[:9]:
        await store.set(key, [1.0, 2.0])
    await raw.execute(
        "UPDATE embedding_cache SET expires_at = now() - interval '1 s' WHERE key = $1", KEYS[4]
    )
    found = await asyncio.gather(*(store.get(key) for key in KEYS[:9]))
    assert [value is None for value in found] == [n == 4 for n in range(9)]


async def test_who_gives_up_takes_nothing_from_the_others(digitwin_db: Database) -> None:
    await fill(digitwin_db)
    get = digitwin_db.cache.responses.get
    tasks = [asyncio.create_task(get(key)) for key in KEYS[::2]]
    await asyncio.sleep(0)
    for task in tasks[::3]:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    for n, (key, answer) in enumerate(zip(KEYS[::2], answers, strict=True)):
        if n % 3 == 0:
            assert isinstance(answer, asyncio.CancelledError)
        else:
            assert answer == {"of": "nobody", "key": key}


@pytest.mark.parametrize("store", TABLES)
async def test_they_read_an_index_by_a_plan_that_was_made_while_the_table_was_empty(
    digitwin_db: Database, raw: asyncpg.Connection, store: str
) -> None:
    """A connection keeps its plan while the table fills."""
    nodes = await explain_generic(raw, digitwin_db.cache._tables[store]._each)
    assert kinds(scans_of(nodes, TABLES[store])) == {"Index Scan"}
