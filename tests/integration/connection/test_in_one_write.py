"""The wrapped transport, on every kind of connection and on both event loops."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from digitwin.kernel.connection import dsn
from digitwin.kernel.connection.held_statements import HeldStatements
from digitwin.kernel.connection.wire import Loop, Transport, run_of
from tests.faults.proxy import Proxy

if TYPE_CHECKING:
    from tests.integration.connection.conftest import DebianServer

Address = Callable[[], AbstractAsyncContextManager[dict[str, Any]]]

LARGE = "x" * 5_000_000
"""More than the socket takes at once."""
SET = "SELECT 1 WHERE set_config('digitwin.user_id', $1, true) IS NULL"
GET = "SELECT current_setting('digitwin.user_id', true), length($1::text), $2::int"


@pytest.fixture(params=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    library = pytest.importorskip(request.param)
    with asyncio.Runner(loop_factory=library.new_event_loop) as runner:
        yield runner


async def statements(address: Address, encrypted: bool) -> None:
    """With a prefix, without, and again, with more than one packet and with what fails."""
    loop = asyncio.get_running_loop()
    async with address() as arguments:
        connection = await asyncpg.connect(**arguments, timeout=10, loop=Loop(loop))
        try:
            assert type(connection._transport) is Transport
            tls = connection._transport.get_extra_info("ssl_object")
            assert (tls is not None) == encrypted
            ask = await _asking(connection)
            assert await ask("ada", "short", 1) == ("ada", 5, 1)
            assert await ask(None, "short", 2) == ("", 5, 2)
            assert await ask("bob", LARGE, 3) == ("bob", len(LARGE), 3)
            with pytest.raises(asyncpg.DataError):
                await ask("eve", "short", "three")
            assert await ask(None, LARGE, 4) == ("", len(LARGE), 4)
            assert await ask("ada", "", 5) == ("ada", 0, 5)
        finally:
            await connection.close(timeout=10)


async def _asking(connection: Any) -> Callable[..., Any]:
    await connection.prepare("SELECT 1", name="spare")
    entry = await connection.prepare(SET, name="enter")
    held = await HeldStatements(connection).prepare(GET)
    transport = connection._transport

    async def ask(person: str | None, *values: object) -> tuple[object, ...]:
        assert entry
        if person is not None:
            transport.arm(run_of("enter", person), held.head)
        try:
            rows = await connection._protocol.bind_execute(held.state, values, "", 0, False, None)
        finally:
            transport.disarm()
        return tuple(rows[0])

    return ask


@asynccontextmanager
async def _at(url: str, **more: Any) -> AsyncIterator[dict[str, Any]]:
    yield dsn.parse(url).connect_args() | more


def test_a_socket(runner: asyncio.Runner, digitwin_url: str) -> None:
    runner.run(statements(partial(_at, digitwin_url), encrypted=False))


@pytest.mark.parametrize(
    ("mode", "encrypted"),
    [("disable", False), ("allow", False), ("prefer", True), ("require", True)],
)
def test_tcp(runner: asyncio.Runner, debian: DebianServer, mode: str, encrypted: bool) -> None:
    url = f"postgres://trusted@localhost:{debian.port}/twins?sslmode={mode}"
    runner.run(statements(partial(_at, url), encrypted=encrypted))


def test_tls_with_a_password_and_a_certificate(
    runner: asyncio.Runner, debian: DebianServer
) -> None:
    url = (
        f"postgres://{debian.login}@localhost:{debian.port}/twins?sslmode=verify-full"
        f"&sslrootcert={debian.folder}/ca.crt"
    )
    runner.run(statements(partial(_at, url), encrypted=True))


def test_tls_is_preferred_and_the_server_has_none(
    runner: asyncio.Runner, digitwin_url: str
) -> None:
    @asynccontextmanager
    async def behind_a_proxy() -> AsyncIterator[dict[str, Any]]:
        async with Proxy(dsn.parse(digitwin_url)) as proxy:
            yield dsn.parse(proxy.url.replace("disable", "prefer")).connect_args()

    runner.run(statements(behind_a_proxy, encrypted=False))


@pytest.mark.skipif(
    not hasattr(asyncpg.connect_utils, "SSLNegotiation"), reason="needs a newer asyncpg"
)
def test_tls_from_the_first_byte(runner: asyncio.Runner, digitwin_url: str, tmp_path: Path) -> None:
    """As PostgreSQL 17 takes it; the embedded server has no TLS, so a proxy has it."""
    target, certificate = dsn.parse(digitwin_url), _certificate(tmp_path)

    @asynccontextmanager
    async def behind_tls() -> AsyncIterator[dict[str, Any]]:
        async with _terminating_tls(target, certificate) as port:
            trusting = ssl.create_default_context()
            trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
            given = target.connect_args() | {"host": "127.0.0.1", "port": port}
            yield given | {"ssl": trusting, "direct_tls": True}

    runner.run(statements(behind_tls, encrypted=True))


def _certificate(folder: Path) -> Path:
    command = "openssl req -x509 -newkey rsa:2048 -nodes -keyout own.key -out own.crt -subj /CN=own"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder / "own.crt"


@asynccontextmanager
async def _terminating_tls(target: dsn.Target, certificate: Path) -> AsyncIterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    context.set_alpn_protocols(["postgresql"])
    links: set[asyncio.Task[Any] | None] = set()

    async def link(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        links.add(asyncio.current_task())
        there = await asyncio.open_unix_connection(f"{target.host}/.s.PGSQL.{target.port}")
        await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))

    server = await asyncio.start_server(link, "127.0.0.1", 0, ssl=context, family=socket.AF_INET)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.wait([task for task in links if task], timeout=10)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()
