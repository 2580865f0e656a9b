"""Addresses against a real server: TLS in every mode, sockets, passwords from everywhere."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import asyncpg
import pytest

from digitwin.errors import ConfigurationError
from digitwin.kernel.connection import dsn
from digitwin.settings import Settings

if TYPE_CHECKING:
    from tests.integration.connection.conftest import DebianServer


@pytest.fixture(autouse=True)
def _home_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (*dsn.conninfo._VARIABLES, "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)


ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


async def ask(address: str, question: str = ENCRYPTED) -> Any:
    return await ask_target(dsn.parse(address), question)


async def ask_target(target: dsn.Target | None, question: str = ENCRYPTED) -> Any:
    assert target is not None
    connection = await asyncpg.connect(**target.connect_args(), timeout=5)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


@pytest.mark.parametrize("query", ["", "?sslmode=prefer", "?sslmode=require", "?ssl=true"])
async def test_tls_is_used_where_it_is_allowed(debian: DebianServer, query: str) -> None:
    assert await ask(f"postgres://trusted@localhost:{debian.port}/twins{query}")


async def test_tls_is_left_where_it_is_refused(debian: DebianServer) -> None:
    assert not await ask(f"postgres://trusted@localhost:{debian.port}/twins?sslmode=disable")


async def test_a_certificate_that_is_trusted_is_accepted(debian: DebianServer) -> None:
    for mode in ("verify-ca", "verify-full"):
        assert await ask(
            f"postgres://{debian.login}@localhost:{debian.port}/twins"
            f"?sslmode={mode}&sslrootcert={debian.folder}/ca.crt&ssl_min_protocol_version=TLSv1.3"
        )


async def test_a_certificate_of_another_name_is_refused_by_verify_full(
    debian: DebianServer,
) -> None:
    authority = f"sslrootcert={debian.folder}/ca.crt"
    address = f"postgres://{debian.login}@127.0.0.1:{debian.port}/twins?{authority}"
    assert await ask(f"{address}&sslmode=verify-ca")
    with pytest.raises(ssl.SSLCertVerificationError):
        await ask(f"{address}&sslmode=verify-full")


async def test_a_version_of_tls_that_is_too_old_is_refused(debian: DebianServer) -> None:
    trusted = f"postgres://trusted@localhost:{debian.port}/twins"
    wanted = f"{trusted}?sslmode=verify-full&sslrootcert={debian.folder}/ca.crt"
    async with no_newer_than_tls_1_2(trusted):
        assert await ask(wanted, VERSION) == "TLSv1.2"
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            await ask(f"{wanted}&ssl_min_protocol_version=TLSv1.3")


async def test_the_settings_say_what_the_address_leaves_open(debian: DebianServer) -> None:
    """A platform sets the URL, the service's own settings how safe it must be."""
    ca = f"{debian.folder}/ca.crt"
    strict = {"sslmode": "verify-full", "ssl_min_protocol_version": "TLSv1.3"}
    safe = Settings(**strict, sslrootcert=ca)
    here = f"postgres://{debian.login}@localhost:{debian.port}/twins"
    assert await ask_target(dsn.resolve(safe, here)) is True
    elsewhere = f"postgres://{debian.login}@127.0.0.1:{debian.port}/twins"
    with pytest.raises(ssl.SSLCertVerificationError):
        await ask_target(dsn.resolve(safe, elsewhere))
    with pytest.raises(ssl.SSLCertVerificationError):
        await ask_target(dsn.resolve(Settings(**strict, sslrootcert="system"), here))
    async with no_newer_than_tls_1_2(f"postgres://trusted@localhost:{debian.port}/twins"):
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            await ask_target(dsn.resolve(safe, here))
    assert await ask_target(dsn.resolve(safe, f"{elsewhere}?sslmode=verify-ca")) is True


VERSION = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@asynccontextmanager
async def no_newer_than_tls_1_2(address: str) -> AsyncIterator[None]:
    connection = await asyncpg.connect(**dsn.parse(address).connect_args())

    async def change(statement: str, to: str) -> None:
        await connection.execute(statement)
        await connection.fetchval("SELECT pg_reload_conf()")
        async with asyncio.timeout(20):
            while await ask(address, VERSION) != to:
                pass

    try:
        await change("ALTER SYSTEM SET ssl_max_protocol_version = 'TLSv1.2'", "TLSv1.2")
        yield
    finally:
        await change("ALTER SYSTEM RESET ssl_max_protocol_version", "TLSv1.3")
        await connection.close()


@pytest.mark.parametrize("mode", ["require", "verify-ca"])
async def test_a_strange_authority_is_refused(debian: DebianServer, mode: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        await ask(
            f"postgres://{debian.login}@localhost:{debian.port}/twins"
            f"?sslmode={mode}&sslrootcert={debian.folder}/client.crt"
        )


async def test_the_system_does_not_trust_a_certificate_made_here(debian: DebianServer) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        await ask(
            f"postgres://{debian.login}@localhost:{debian.port}/twins"
            "?sslmode=verify-full&sslrootcert=system"
        )


async def test_a_client_may_show_a_certificate_of_its_own(debian: DebianServer) -> None:
    own = f"sslcert={debian.folder}/client.crt&sslkey={debian.folder}/client.key"
    address = f"postgres://certified@localhost:{debian.port}/twins?sslmode=require&{own}"
    assert await ask(address, "SELECT current_user") == "certified"


async def test_the_usual_certificates_are_found(debian: DebianServer, tmp_path: Path) -> None:
    usual = tmp_path / ".postgresql"
    usual.mkdir()
    for ours, theirs in (("postgresql", "client"), ("root", "ca")):
        for kind in ("crt", "key"):
            (usual / f"{ours}.{kind}").write_bytes(
                (debian.folder / f"{theirs}.{kind}").read_bytes()
            )
    (usual / "postgresql.key").chmod(0o600)
    address = f"postgres://certified@localhost:{debian.port}/twins?sslmode=verify-full"
    assert await ask(address, "SELECT current_user") == "certified"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("sslmode=verify-full&sslrootcert=/nowhere", "sslrootcert"),
        ("sslmode=verify-full", "sslrootcert"),
        ("sslmode=require&sslrootcert=system", "sslrootcert"),
        ("sslmode=require&sslcert=/nowhere", "sslcert"),
        ("sslmode=require&sslcrl=/nowhere", "sslcrl"),
        ("sslmode=require&ssl_min_protocol_version=SSLv3", "ssl_min_protocol_version"),
        ("sslmode=prefer&sslrootcert=system", "sslrootcert"),
        ("sslcert=/nowhere", "sslcert"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(query: str, field: str) -> None:
    with pytest.raises(ConfigurationError, match=f"`{field}`") as caught:
        dsn.parse(f"postgres://u@h/d?{query}")
    assert caught.value.details["field"] == field


async def test_a_socket_is_reached_in_every_spelling(debian: DebianServer) -> None:
    folder, port = debian.folder, debian.port
    for address in (
        f"postgres://trusted@/twins?host={folder}&port={port}",
        f"postgres://trusted@{quote(str(folder), safe='')}:{port}/twins",
        f"host={folder} port={port} user=trusted dbname=twins sslmode=require",
    ):
        assert await ask(address, "SELECT current_database()") == "twins"


async def test_the_password_may_come_from_a_file(
    debian: DebianServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "passwords"
    file.write_text("localhost:*:twins:ada:" + debian.password + "\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    address = f"postgres://ada@localhost:{debian.port}/twins"
    assert await ask(address, "SELECT current_user") == "ada"


async def test_variables_alone_are_enough(
    debian: DebianServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", "localhost")
    monkeypatch.setenv("PGPORT", str(debian.port))
    monkeypatch.setenv("PGUSER", "ada")
    monkeypatch.setenv("PGPASSWORD", debian.password)
    monkeypatch.setenv("PGDATABASE", "twins")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGSSLROOTCERT", f"{debian.folder}/ca.crt")
    monkeypatch.setenv("PGOPTIONS", "-c geqo=off")
    assert await ask("postgresql://")
    assert await ask("postgresql://", "SHOW geqo") == "off"


async def test_a_wrong_password_is_refused_by_the_server(debian: DebianServer) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(f"postgres://ada:wrong@localhost:{debian.port}/twins")
