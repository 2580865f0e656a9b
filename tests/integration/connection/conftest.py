"""A PostgreSQL 15 of its own, as Debian ships it, that speaks TLS and wants a password."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
PASSWORD = "p@ss/w:rd"
RULES = """\
local   all trusted                trust
local   all all                    scram-sha-256
hostssl all certified 127.0.0.1/32 cert
host    all trusted   127.0.0.1/32 trust
hostssl all all       127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True)
class DebianServer:
    """TCP with TLS on ``port``, and a socket; ``folder`` holds ``ca.crt`` and a client's pair."""

    folder: Path
    port: int
    password: str = PASSWORD

    @property
    def login(self) -> str:
        """Ada's, as a URL has it."""
        return f"ada:{quote(self.password, safe='')}"


@pytest.fixture(scope="session")
def debian() -> Iterator[DebianServer]:
    if not (PROGRAMS / "postgres").exists() or shutil.which("openssl") is None:
        pytest.skip("Debian's postgresql-15 or openssl is not installed")
    folder = Path(tempfile.mkdtemp(prefix="digitwin-15-"))
    server = DebianServer(folder, _free_port())
    try:
        _make_certificates(folder)
        _give_to_postgres(folder)
        _make_cluster(server)
        yield server
        _as_postgres(folder, "pg_ctl", "-w", "-m", "immediate", "-D", str(folder / "data"), "stop")
    finally:
        shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _make_certificates(folder: Path) -> None:
    _openssl(folder, "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=ca")
    for name, subject in (("server", "localhost"), ("client", "certified")):
        (folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{subject}\n")
        _openssl(
            folder,
            f"req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={subject}",
        )
        _openssl(
            folder,
            f"x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial"
            f" -extfile {name}.ext -out {name}.crt",
        )


def _openssl(folder: Path, command: str) -> None:
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


def _give_to_postgres(folder: Path) -> None:
    for path in folder.glob("*.key"):
        path.chmod(0o600)
    if os.geteuid() == 0:
        folder.chmod(0o755)
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "postgres", "postgres")


def _make_cluster(server: DebianServer) -> None:
    folder, data = server.folder, server.folder / "data"
    _as_postgres(folder, "initdb", "-D", str(data), "-U", "trusted", "-A", "trust")
    (data / "pg_hba.conf").write_text(RULES)
    with (data / "postgresql.conf").open("a") as conf:
        conf.write(
            f"port={server.port}\nlisten_addresses='127.0.0.1'\nfsync=off\n"
            f"unix_socket_directories='{folder}'\nssl=on\nssl_ca_file='{folder}/ca.crt'\n"
            f"ssl_cert_file='{folder}/server.crt'\nssl_key_file='{folder}/server.key'\n"
        )
    _as_postgres(folder, "pg_ctl", "-w", "-D", str(data), "-l", str(folder / "log"), "start")
    for statement in (
        f"CREATE ROLE ada LOGIN PASSWORD '{PASSWORD}'",
        "CREATE ROLE certified LOGIN",
        "CREATE DATABASE twins",
    ):
        _as_postgres(
            folder,
            *("psql", "-h", str(folder), "-p", str(server.port)),
            *("-U", "trusted", "-d", "postgres", "-c", statement),
        )


def _as_postgres(folder: Path, name: str, *arguments: str) -> None:
    who = pwd.getpwnam("postgres").pw_uid if os.geteuid() == 0 else None
    subprocess.run(
        [str(PROGRAMS / name), *arguments],
        cwd=folder,
        user=who,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
