"""The pool keeps `pool_min` connections open, and says once when it cannot."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.testing import DatabaseFactory
from tests.faults.proxy import Proxy
from tests.integration.lifecycle.conftest import Whole

LOST = "connections could not be opened again"


@pytest.fixture
async def db(proxy: Proxy, digitwin_db_factory: DatabaseFactory) -> Database:
    return await digitwin_db_factory(proxy.url, pool_min=2, pool_max=3, connect_timeout=1)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "lifecycle" not in record.name]


async def test_so_many_are_open_from_the_start_and_again_after_a_loss(
    db: Database, proxy: Proxy, whole: Whole
) -> None:
    assert db._core.pool.size == 2
    lost = list(db._core.pool._open)
    proxy.cut()
    await until(lambda: all(connection.is_closed() for connection in lost))
    await until(lambda: db._core.pool.size == 2)
    assert await db.ready()
    await whole(db)


async def test_without_a_server_it_says_so_once_and_in_our_words(
    db: Database, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    assert proxy._listener is not None
    proxy._listener.close()
    with caplog.at_level(logging.INFO):
        proxy.cut()
        await until(lambda: bool(caplog.records))
        for _ in range(3):
            db._core.floor.restore()
            await until(lambda: not db._core.floor.trying)
        [line] = lines(caplog)
        assert LOST in line
        proxy._listener = await asyncio.start_server(proxy._accept, "127.0.0.1", proxy._port)
        db._core.floor.restore()
        await until(lambda: db._core.pool.size == 2)
        await until(lambda: len(caplog.records) == 2)
    assert "open again" in lines(caplog)[1]
    told = "".join(str(record.__dict__) for record in caplog.records)
    assert "Traceback" not in told
    assert {record.name.split(".")[0] for record in caplog.records} == {"digitwin"}


async def test_a_password_is_not_in_it(
    digitwin_url: str,
    raw: asyncpg.Connection,
    digitwin_db_factory: DatabaseFactory,
    caplog: pytest.LogCaptureFixture,
    proxy: Proxy,
) -> None:
    url = proxy.url.replace("postgres@", "postgres:hunter2@")
    db = await digitwin_db_factory(url, pool_min=1, connect_timeout=1)
    assert proxy._listener is not None
    proxy._listener.close()
    proxy.cut()
    await until(lambda: LOST in caplog.text)
    assert "hunter2" not in caplog.text
    await db.close()


async def test_a_handle_closes_while_it_tries(db: Database, proxy: Proxy) -> None:
    assert proxy._listener is not None
    proxy._listener.close()
    proxy.cut()
    await until(lambda: db._core.floor.active)
    async with asyncio.timeout(5):
        await db.close()
    assert not db._core.floor.active
