"""The address leads to a standby for a while, as during a failover, and then to a primary again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from digitwin.connecting import connect
from digitwin.database import Database
from digitwin.errors import ConfigurationError, ConnectionFailedError, ReadOnlyServerError
from digitwin.kernel.connection import dsn
from tests.faults.proxy import Proxy
from tests.faults.server import Debian15, Embedded18, Server, standby_of, throw_away
from tests.integration.lifecycle.conftest import PATIENT, Whole

ACCEPTED = {
    "any": "ps",
    "prefer-standby": "ps",
    "primary": "p",
    "read-write": "p",
    "standby": "s",
    "read-only": "s",
}
"""By target_session_attrs: whether a primary (p) and a standby (s) are accepted."""


@pytest.fixture(scope="module", params=[Embedded18, Debian15], ids=["18", "15"])
def primary(request: pytest.FixtureRequest) -> Iterator[Server]:
    missing = request.param.missing()
    if missing:
        pytest.skip(missing)
    with throw_away(request.param) as server:
        asyncio.run(_fill(server.url))
        yield server


@pytest.fixture(scope="module")
def standby(primary: Server) -> Iterator[Server]:
    with standby_of(primary) as server:
        yield server


async def _fill(url: str) -> None:
    async with connect(url, migrate="auto") as db:
        await db.users.create(email="ada@example.com", name="Ada")


@pytest.fixture
async def address(primary: Server) -> AsyncIterator[Proxy]:
    async with Proxy(dsn.parse(primary.url)) as proxy:
        yield proxy


def opened(address: Proxy, attrs: str | None = None, **given: Any) -> Any:
    url = address.url if attrs is None else f"{address.url}&target_session_attrs={attrs}"
    return connect(url, **PATIENT | given)


async def add(db: Database, name: str) -> None:
    user = await db.users.create(email=f"{name}@example.com", name=name)
    await db.users.hard_delete(user.id)


async def test_a_handle_meets_a_failover(
    address: Proxy, primary: Server, standby: Server, whole: Whole
) -> None:
    """Its connections are lost, the new ones would be to a standby, then there is a primary."""
    async with opened(address) as db:
        await add(db, "before")
        address.move(dsn.parse(standby.url))
        address.cut()
        for call in (lambda: add(db, "meanwhile"), db.users.count):
            assert (await _met_read_only(call)).retryable
        assert not await db.ready()
        health = await db.health()
        assert (health.ok, health.read_only) == (False, True)
        address.move(dsn.parse(primary.url))
        await add(db, "after")
        assert await db.ready()
        assert (await db.health()).ok
        await whole(db)


async def test_connections_to_what_has_become_a_standby_are_replaced(
    address: Proxy, primary: Server, standby: Server, whole: Whole
) -> None:
    """The first refused write costs the pool all of them; no call after it meets one."""
    address.move(dsn.parse(standby.url))
    async with opened(address, "any") as db:
        await _open_all(db)
        address.move(dsn.parse(primary.url))
        with pytest.raises(ReadOnlyServerError) as raised:
            await add(db, "first")
        assert raised.value.retryable
        for n in range(10):
            await add(db, f"{n}")
        await whole(db)


async def test_a_probe_replaces_them_too(address: Proxy, primary: Server, standby: Server) -> None:
    """So that a pod without a call of its own comes back."""
    address.move(dsn.parse(standby.url))
    async with opened(address, "any") as db:
        await _open_all(db)
        address.move(dsn.parse(primary.url))
        assert not await db.ready()
        assert await db.ready()
        await add(db, "after")


async def test_writers_go_on_within_a_call_each(
    address: Proxy, primary: Server, standby: Server
) -> None:
    """Callers that retry what is retryable, while the address moves there and back."""
    done = 0

    async def write(n: int) -> None:
        nonlocal done
        while True:
            try:
                await add(db, f"writer-{n}")
                done += 1
                return
            except ConnectionFailedError:
                await asyncio.sleep(0.01)

    async with opened(address) as db, asyncio.timeout(30), asyncio.TaskGroup() as group:
        address.move(dsn.parse(standby.url))
        address.cut()
        for n in range(20):
            group.create_task(write(n))
        await _met_read_only(db.users.count)
        address.move(dsn.parse(primary.url))
    assert done == 20


@pytest.mark.parametrize("attrs", sorted(ACCEPTED))
async def test_a_start_accepts_what_target_session_attrs_says(
    address: Proxy, primary: Server, standby: Server, attrs: str
) -> None:
    for letter, server in (("p", primary), ("s", standby)):
        address.move(dsn.parse(server.url))
        if letter in ACCEPTED[attrs]:
            async with opened(address, attrs) as db:
                assert await db.users.count() == 1
        else:
            with pytest.raises(ConnectionFailedError) as raised:
                await opened(address, attrs)
            assert raised.value.retryable


async def test_without_it_a_standby_is_refused(address: Proxy, standby: Server) -> None:
    address.move(dsn.parse(standby.url))
    with pytest.raises(ReadOnlyServerError, match="target_session_attrs"):
        await opened(address)


async def test_a_handle_for_reading_is_ready_on_a_standby(address: Proxy, standby: Server) -> None:
    address.move(dsn.parse(standby.url))
    async with opened(address, "standby") as db:
        assert await db.ready()
        health = await db.health()
        assert (health.ok, health.read_only) == (True, True)
        with pytest.raises(ReadOnlyServerError):
            await add(db, "nobody")
    async with opened(address, "any") as db:
        assert not await db.ready()
        assert not (await db.health()).ok


async def test_the_variable_says_it_too(
    address: Proxy, standby: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    address.move(dsn.parse(standby.url))
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "standby")
    async with opened(address) as db:
        assert await db.ready()
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "sometimes")
    with pytest.raises(ConfigurationError, match="target_session_attrs"):
        await opened(address)


async def _met_read_only(call: Callable[[], Awaitable[object]]) -> ReadOnlyServerError:
    """Call until every lost connection was met; return the error of the first new one."""
    for _ in range(PATIENT["pool_max"] + 1):
        try:
            await call()
        except ReadOnlyServerError as error:
            return error
        except ConnectionFailedError:
            continue
    raise AssertionError("it was not refused")


async def _open_all(db: Database) -> None:
    """Open every connection of the pool."""
    held = [await db._core.pool.acquire() for _ in range(db.settings.pool_max)]
    for connection in held:
        await db._core.pool.release(connection, well=True)
