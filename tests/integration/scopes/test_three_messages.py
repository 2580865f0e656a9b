"""Where a scope and its statement cannot be sent in one write, they are sent as a transaction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import AlreadyExistsError, InvalidInputError, InvalidStateError
from digitwin.kernel.connection import dsn, wire
from digitwin.kernel.connection.connections import WHO
from digitwin.kernel.connection.scopes import APPLICATION, SERVICE
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import User
from digitwin.testing import DatabaseFactory
from tests.faults import separating_pooler
from tests.faults.separating_pooler import SeparatingPooler

TOLD = "three round trips"


@pytest.fixture
async def pooler(digitwin_url: str) -> AsyncIterator[SeparatingPooler]:
    async with separating_pooler.in_front_of(dsn.parse(digitwin_url)) as pooler:
        yield pooler


async def works(db: Database, raw: asyncpg.Connection) -> None:
    """What a scope promises."""
    ada, bob = [
        await db.users.create(email=f"{name}@example.com", name=name) for name in ("Ada", "Bob")
    ]
    await asyncio.gather(*(one_persons(db, person) for person in (ada, bob) * 4))
    service = db.for_service(reason="a test")._core.db
    assert tuple(await service.fetchrow(WHO) or ()) == (SERVICE, "")
    names = await raw.fetch("SELECT name FROM users ORDER BY name")
    assert [row["name"] for row in names] == ["still Ada", "still Bob"]
    pool = (await db.health()).pool
    assert (pool.in_use, pool.size - pool.idle) == (0, 0)


async def one_persons(db: Database, person: User) -> None:
    me = db.for_user(person.id)
    mine, voice = me._core.db, uuid7()
    assert tuple(await mine.fetchrow(WHO) or ()) == (APPLICATION, str(person.id))
    await me.voices.create(id=voice, name="Calm")
    with pytest.raises(AlreadyExistsError):
        await me.voices.create(id=voice, name="Calm")
    with pytest.raises(InvalidInputError):
        await mine.fetchval("SELECT $1::int", "x")
    with pytest.raises(InvalidStateError, match="row-level security"):
        await mine.execute("UPDATE users SET id = $1", uuid7())
    renamed = "UPDATE users SET name = $1"
    assert await mine.execute(renamed, f"still {person.name}") == "UPDATE 1"
    async with me.transaction():
        assert await me.users.count() == 1
    role, who = await db._core.db.fetchrow(WHO) or ("", "")
    assert (role == APPLICATION, who or None) == (False, None)


async def test_a_pooler_that_separates_them_is_noticed(
    pooler: SeparatingPooler,
    raw: asyncpg.Connection,
    digitwin_db_factory: DatabaseFactory,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Before a statement of a caller's is sent, and told once, however many calls notice."""
    db = await digitwin_db_factory(pooler.url, pool_min=4, pool_max=4)
    with caplog.at_level(logging.WARNING, "digitwin"):
        await works(db, raw)
    assert not db._core.pool.pipelines
    assert [TOLD in message for message in caplog.messages] == [True]
    assert "pooler" in caplog.text


async def test_an_asyncpg_that_is_not_known(
    digitwin_url: str,
    raw: asyncpg.Connection,
    digitwin_db_factory: DatabaseFactory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(wire, "FITS", False)
    with caplog.at_level(logging.WARNING, "digitwin"):
        db = await digitwin_db_factory(digitwin_url, pool_min=4, pool_max=4)
        await works(db, raw)
    assert [TOLD in message for message in caplog.messages] == [True]
    assert "asyncpg" in caplog.text


async def test_one_call_is_three_round_trips_then_and_one_otherwise(
    pooler: SeparatingPooler, digitwin_db_factory: DatabaseFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = await digitwin_db_factory(pooler.url, pool_min=1, pool_max=2)
    ada = await db.users.create(email="ada@example.com", name="Ada")
    mine = db.for_user(ada.id)._core.db
    for _ in range(2):
        await mine.fetchval("SELECT count(*) FROM users")
    pooler.asked.clear()
    await mine.fetchval("SELECT count(*) FROM users")
    assert pooler.asked == {b"Q": 2, b"S": 1}
    db._core.pool.pipelines = True
    (connection, _) = db._core.pool._idle_connections._idle[-1]
    connection.entered.add(APPLICATION)  # as if it had not been asked
    pooler.asked.clear()
    await mine.fetchval("SELECT count(*) FROM users")
    assert pooler.asked == {b"S": 1}
