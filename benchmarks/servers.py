"""Servers of a run's own, gone after it."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from digitwin.servers import cluster
from digitwin.testing.databases import fast_folder

OLDEST = 15
BUFFERS = "512MB"
"""What a server keeps of its tables: enough for the pages in use, which the default is not."""
DEBIAN = Path("/usr/lib/postgresql")


@contextmanager
def folder(*, on_disk: bool = False) -> Iterator[Path]:
    """A folder for one server, in memory where there is room.

    A disk's time for a commit would drown what the layers above it cost, to everybody's
    favour but the fastest's.
    """
    place = None if on_disk else fast_folder()
    with TemporaryDirectory(
        prefix="digitwin-bench-", dir=place, ignore_cleanup_errors=True
    ) as path:
        yield Path(path)


@contextmanager
def embedded(*, on_disk: bool = False) -> Iterator[str]:
    """The URL of the PostgreSQL that comes along, over its unix socket.

    On a disk its commits do not wait.
    """
    with folder(on_disk=on_disk) as path:
        cluster.start(path / "data")
        with (path / "data" / "postgresql.conf").open("a") as settings:
            settings.write(f"shared_buffers = {BUFFERS}\n")
            settings.write("fsync = off\n" if on_disk else "")
        cluster.stop(path / "data")
        target = cluster.start(path / "data")
        try:
            yield target.url
        finally:
            cluster.stop(path / "data")


def without_tls() -> str | None:
    """Why there can be no server with TLS."""
    if _programs() is None:
        return f"no PostgreSQL {OLDEST} or newer is installed in {DEBIAN}"
    return None if shutil.which("openssl") else "openssl is not installed"


@contextmanager
def with_tls() -> Iterator[str]:
    """The URL of an installed PostgreSQL over TCP with TLS, whose certificate is checked."""
    with folder() as path:
        port = _free_port()
        _make_certificate(path)
        if os.geteuid() == 0:
            for each in (path, *path.iterdir()):
                shutil.chown(each, "postgres", "postgres")
        _as_postgres(path, "initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C")
        options = _TLS.format(port=port, folder=path)
        _as_postgres(path, "pg_ctl", "-w", "-l", str(path / "log"), "-o", options, "start")
        try:
            yield (
                f"postgresql://postgres@localhost:{port}/postgres"
                f"?sslmode=verify-full&sslrootcert={path}/server.crt"
            )
        finally:
            _as_postgres(path, "pg_ctl", "-w", "-m", "immediate", "stop")


_TLS = (
    f"-c shared_buffers={BUFFERS}"
    " -p {port} -c listen_addresses=127.0.0.1 -k {folder} -c max_connections=200 -c ssl=on"
    " -c ssl_cert_file={folder}/server.crt -c ssl_key_file={folder}/server.key"
)


def _programs() -> Path | None:
    """Those of the newest server that is installed."""
    found = {
        int(path.parents[1].name): path.parent
        for path in DEBIAN.glob("*/bin/postgres")
        if re.fullmatch(r"\d+", path.parents[1].name)
    }
    newest = max(found, default=0)
    return found[newest] if newest >= OLDEST else None


def _make_certificate(path: Path) -> None:
    """One that signs itself; a client that is told of it can check the server's name."""
    command = (
        f"req -x509 -newkey rsa:2048 -nodes -keyout {path}/server.key -out {path}/server.crt"
        " -subj /CN=localhost -addext subjectAltName=DNS:localhost -days 2"
    )
    subprocess.run(["openssl", *command.split()], check=True, capture_output=True)
    (path / "server.key").chmod(0o600)


def _as_postgres(path: Path, program: str, *arguments: str) -> None:
    programs = _programs()
    assert programs is not None
    subprocess.run(
        [str(programs / program), "-D", str(path / "data"), *arguments],
        cwd=path,
        user=pwd.getpwnam("postgres").pw_uid if os.geteuid() == 0 else None,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def without_redis() -> str | None:
    """Why there can be no Redis."""
    return None if shutil.which("redis-server") else "redis-server is not installed"


@contextmanager
def redis() -> Iterator[str | None]:
    """The URL of a Redis over its unix socket, or None where it is not installed.

    It writes its journal every second: what PostgreSQL promises for a decision of the limiter,
    and less than it promises for a cached value.
    """
    if without_redis():
        yield None
        return
    with folder() as path:
        address = path / "redis.sock"
        server = subprocess.Popen(
            ["redis-server", *_REDIS, "--unixsocket", str(address), "--dir", str(path)],
            stdout=subprocess.DEVNULL,
        )
        try:
            _wait_for(address)
            yield f"unix://{address}"
        finally:
            server.terminate()
            server.wait()


_REDIS = ("--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "everysec")


def _wait_for(address: Path) -> None:
    for _ in range(500):
        if address.exists():
            return
        time.sleep(0.01)
    raise TimeoutError("Redis does not start")
