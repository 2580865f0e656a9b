"""A start that fails ends in one clear error, in time, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from digitwin.connecting import connect
from digitwin.errors import (
    ConfigurationError,
    ConnectionFailedError,
    DigiTwinError,
    MigrationRequiredError,
    UnsupportedServerError,
)
from digitwin.kernel.connection import dsn
from digitwin.kernel.orm import active_handle
from tests.faults.old_server import greeting_server
from tests.faults.proxy import Hold, Proxy
from tests.faults.server import Embedded18, throw_away

BOUND = 0.5
CLOSING = 1.0
"""What giving up a connection on a frozen network may take beyond ``connect_timeout``."""

OPEN = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


async def none_open(admin: asyncpg.Connection) -> None:
    """Wait until the server has ended the sessions that were closed."""
    async with asyncio.timeout(5):
        while await admin.fetchval(OPEN):
            pass


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """No task, no thread, no handle that models could find."""
    threads = threading.active_count()
    yield
    await asyncio.sleep(0)
    assert asyncio.all_tasks() - {asyncio.current_task()} == set()
    assert threading.active_count() <= threads + 1  # the loop's own, for looking up names
    assert not active_handle._live


async def refused(url: str, kind: type[DigiTwinError], **overrides: object) -> DigiTwinError:
    """The error of a start that fails in time."""
    with pytest.raises(DigiTwinError) as raised:
        async with asyncio.timeout(BOUND + CLOSING + 0.5):
            await connect(url, connect_timeout=BOUND, **overrides)
    assert raised.type is kind
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)
    return raised.value


async def test_nobody_listens() -> None:
    error = await refused("postgresql://ada:secret@127.0.0.1:1/twins", ConnectionFailedError)
    assert "127.0.0.1:1" in str(error)
    assert error.retryable


async def test_nobody_answers() -> None:
    """The connection is accepted, and that was all."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        error = await refused(
            f"postgresql://ada:secret@127.0.0.1:{port}/twins", ConnectionFailedError
        )
    assert "no reply within `connect_timeout`" in str(error)


async def test_no_such_host() -> None:
    await refused("postgresql://ada:secret@host.invalid/twins", ConnectionFailedError)


async def test_no_such_socket() -> None:
    await refused("postgresql://ada:secret@/twins?host=/nowhere", ConnectionFailedError)


@pytest.mark.parametrize("version", ["14.11", "9.6.24"])
async def test_a_server_too_old(version: str) -> None:
    async with greeting_server(version) as url:
        error = await refused(url, UnsupportedServerError)
    assert "15 or newer" in str(error)
    assert error.details["server_version"] == version


async def test_not_a_postgresql_server() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await refused(f"postgresql://ada:secret@127.0.0.1:{port}/twins", ConnectionFailedError)


@pytest.fixture(scope="module")
def locked() -> Iterator[str]:
    """The folder of a server that wants a password; everybody's is ``right``."""
    if Embedded18.missing():
        pytest.skip(str(Embedded18.missing()))
    with throw_away(Embedded18) as server:

        async def lock() -> None:
            connection = await asyncpg.connect(server.url)
            await connection.execute("ALTER USER postgres PASSWORD 'right'")
            rules = server.data / "pg_hba.conf"
            rules.write_text("local all all scram-sha-256\n")
            await connection.execute("SELECT pg_reload_conf()")
            await connection.close()

        asyncio.run(lock())
        yield server.url.partition("host=")[2]


async def test_a_wrong_password(locked: str) -> None:
    error = await refused(
        f"postgresql://postgres:secret@/postgres?host={locked}", ConnectionFailedError
    )
    assert "the password is wrong" in str(error)
    assert not error.retryable


async def test_a_missing_database(locked: str) -> None:
    error = await refused(
        f"postgresql://postgres:right@/twins?host={locked}", ConnectionFailedError
    )
    assert "the database does not exist" in str(error)
    assert not error.retryable


async def test_an_empty_database(locked: str) -> None:
    error = await refused(
        f"postgresql://postgres:right@/postgres?host={locked}", MigrationRequiredError
    )
    assert "digitwin db upgrade" in str(error)


async def test_a_newer_schema(digitwin_url: str, admin: asyncpg.Connection) -> None:
    await admin.execute("UPDATE digitwin_schema SET version = 999, oldest_reader = 998")
    error = await refused(digitwin_url, MigrationRequiredError, migrate="auto")
    assert "upgrade the package" in str(error)
    await none_open(admin)


@pytest.mark.parametrize(
    "url", ["", "mysql://ada:secret@db/twins", "postgresql://ada:secret@db:port/twins", "nonsense"]
)
async def test_an_invalid_url(url: str) -> None:
    await refused(url, ConfigurationError)


async def test_an_invalid_setting(digitwin_url: str, admin: asyncpg.Connection) -> None:
    with pytest.raises(ConfigurationError) as raised:
        await connect(digitwin_url, pool_max=1)
    assert raised.value.details["field"] == "pool_max"
    await none_open(admin)


GREETING, LOOK = "application_name", "FROM digitwin_schema"


@pytest.mark.parametrize(
    "way", [[GREETING], [GREETING] * 2, [GREETING] * 3, [LOOK]], ids=["1", "2", "3", "look"]
)
async def test_the_network_freezes_on_the_way(
    proxy: Proxy, admin: asyncpg.Connection, way: list[str]
) -> None:
    """At the greeting of each connection, and at the look at the schema."""
    *passing, last = [proxy.hold(text) for text in way]
    for hold in passing:
        hold.release()
    error = await refused(proxy.url, ConnectionFailedError, pool_min=3)
    assert last.seen.is_set()
    assert "no reply within `connect_timeout`" in str(error)
    last.release()
    await none_open(admin)


async def test_what_is_still_connecting_is_given_up_with_the_first_that_fails(
    proxy: Proxy, admin: asyncpg.Connection
) -> None:
    """The third connection is lost while the second has not been answered."""
    first, second, third = [proxy.hold(GREETING) for _ in range(3)]
    first.release()
    start = asyncio.ensure_future(_start(proxy.url))
    await second.answered.wait()
    await third.answered.wait()
    third.lose()
    with pytest.raises(ConnectionFailedError):
        await start
    assert "Pool.open_one" not in {task.get_coro().__qualname__ for task in asyncio.all_tasks()}
    second.release()
    await none_open(admin)


async def _start(url: str) -> None:
    await connect(url, pool_min=3)


class Counting(Proxy):
    """Counts connections, and what is sent on them: one piece for each round trip."""

    greetings = 0
    statements = 0

    def caught(self, data: bytes) -> Hold | None:
        if GREETING.encode() in data:
            self.greetings += 1
        elif data[:1] in (b"P", b"B", b"Q"):  # Parse, Bind, a query without parameters
            self.statements += 1
        return super().caught(data)


@pytest.mark.parametrize("connections", [1, 3])
async def test_a_start_opens_no_connection_besides_the_pool_s(
    digitwin_url: str, connections: int
) -> None:
    async with Counting(dsn.parse(digitwin_url)) as proxy:
        async with connect(proxy.url, pool_min=connections) as db:
            assert (await db.health()).pool.idle == connections
        assert proxy.greetings == connections + 1  # and the one of `health`


async def test_a_start_on_a_server_that_is_ready_is_one_query(digitwin_url: str) -> None:
    """Prepared, then executed: two round trips after the greeting."""
    async with Counting(dsn.parse(digitwin_url)) as proxy, connect(proxy.url):
        assert (proxy.greetings, proxy.statements) == (1, 2)


async def test_without_a_floor_no_connection_stays_open(digitwin_url: str) -> None:
    async with connect(digitwin_url, pool_min=0) as db:
        assert (await db.health()).pool.size == 0


async def test_what_the_first_connection_prepares_after_the_checks_is_kept(
    digitwin_url: str,
) -> None:
    """The checks name no statements, for the sake of poolers."""
    async with Counting(dsn.parse(digitwin_url)) as proxy, connect(proxy.url, pool_max=2) as db:
        await db.users.count()
        before = proxy.statements
        await db.users.count()
        assert (proxy.greetings, proxy.statements - before) == (1, 1)
