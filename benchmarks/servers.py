"""Servers for one run, removed after it; the cores they run on, and how they are reached."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal

OLDEST: Final = 15
BUFFERS: Final = "512MB"
"""A server's shared buffers: enough for the pages in use, which the default is not."""
DEBIAN: Final = Path("/usr/lib/postgresql")
MEMORY: Final = Path("/dev/shm")
ROOM: Final = 2 * 2**30
"""Bytes that must be free in memory."""
Cores = Literal["apart", "shared", "any"]
"""The callers on one core and the servers on the others, as over a network; all on one, where no
core has to wake up and only work counts; or as the scheduler likes."""
CONNECTIONS: Final = 400
"""Ten for each process of each peer."""


@contextmanager
def cores(way: Cores) -> Iterator[Callable[[], None]]:
    """What is started here runs on the servers' cores; call the result to move the caller.

    Without this, the scheduler puts both on one core at times and on two at others, above all on
    a busy machine: a call over a socket then takes half or twice as long. With a single core, or
    on a system without this call, nothing happens.
    """
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if way == "any" or len(allowed) < 2:
        yield lambda: None
        return
    os.sched_setaffinity(0, allowed[1:] if way == "apart" else allowed[:1])
    try:
        yield lambda: os.sched_setaffinity(0, allowed[:1])
    finally:
        os.sched_setaffinity(0, allowed)


@contextmanager
def folder(*, on_disk: bool = False) -> Iterator[Path]:
    """A folder for one server, in memory if there is room.

    A disk's time for a commit would hide what the layers above it cost, and favour all peers but
    the fastest.
    """
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM
    place = MEMORY if roomy and not on_disk else None
    with TemporaryDirectory(
        prefix="digitwin-bench-", dir=place, ignore_cleanup_errors=True
    ) as path:
        yield Path(path)


@contextmanager
def embedded(*, on_disk: bool = False, fsync: bool = True) -> Iterator[str]:
    """The URL of the embedded PostgreSQL on its unix socket."""
    with folder(on_disk=on_disk) as home:
        _digitwin(home, "db", "start")
        with (home / "data" / "postgresql.conf").open("a") as settings:
            settings.write(f"shared_buffers = {BUFFERS}\n")
            settings.write(f"max_connections = {CONNECTIONS}\n")
            settings.write("" if fsync else "fsync = off\n")
        _digitwin(home, "db", "stop")
        try:
            yield _digitwin(home, "db", "url")
        finally:
            _digitwin(home, "db", "stop")


def _digitwin(home: Path, *command: str) -> str:
    done = subprocess.run(
        [Path(sys.executable).with_name("digitwin"), *command],
        env=os.environ | {"DIGITWIN_HOME": str(home)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout.strip()


def without_tls() -> str | None:
    """Why there can be no server with TLS."""
    if _programs() is None:
        return f"no PostgreSQL {OLDEST} or newer is installed in {DEBIAN}"
    return None if shutil.which("openssl") else "openssl is not installed"


@contextmanager
def with_tls() -> Iterator[str]:
    """The URL of an installed PostgreSQL over TCP with TLS; clients check its certificate."""
    with folder() as path:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
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


_TLS: Final = (
    f"-c shared_buffers={BUFFERS} -c max_connections={CONNECTIONS}"
    " -p {port} -c listen_addresses=127.0.0.1 -k {folder} -c ssl=on"
    " -c ssl_cert_file={folder}/server.crt -c ssl_key_file={folder}/server.key"
)


def _programs() -> Path | None:
    """The folder of the newest installed server."""
    versions = [int(path.parents[1].name) for path in DEBIAN.glob("[0-9]*/bin/postgres")]
    newest = max(versions, default=0)
    return DEBIAN / str(newest) / "bin" if newest >= OLDEST else None


def _make_certificate(path: Path) -> None:
    """Make a self-signed one, against which a client can check the server's name."""
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


def without_redis() -> str | None:
    """Why there can be no Redis."""
    return None if shutil.which("redis-server") else "redis-server is not installed"


@contextmanager
def redis() -> Iterator[str | None]:
    """The URL of a Redis on its unix socket, or None if it is not installed.

    It writes its journal every second: what PostgreSQL promises for a decision of the limiter.
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


_REDIS: Final = ("--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "everysec")


def _wait_for(address: Path) -> None:
    for _ in range(500):
        if address.exists():
            return
        time.sleep(0.01)
    raise TimeoutError("Redis does not start")


def cpu_seconds(postmaster: int) -> float | None:
    """The processor time that a server has used: its own, and its processes', ended ones too.

    Returns:
        None where the system does not tell.
    """
    try:
        ended = sum(map(int, _stat(postmaster)[13:15])) / os.sysconf("SC_CLK_TCK")
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    except (OSError, AttributeError, ValueError):
        return None
    return ended + sum(map(_used, [postmaster, *map(int, children)]))


def _used(pid: int) -> float:
    """Of one process: to the nanosecond where the scheduler tells, else to its tick."""
    with suppress(OSError):
        if nanoseconds := int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]):
            return nanoseconds / 1e9
        return sum(map(int, _stat(pid)[11:13])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _stat(pid: int) -> list[str]:
    """The fields behind the program's name; the first is its state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def postmaster(backend: int) -> int | None:
    """The process that a backend on this machine is a child of."""
    with suppress(OSError):
        return int(_stat(backend)[1])
    return None


@dataclass(frozen=True)
class Condition:
    """A way to reach the servers, and an event loop: one section of the report.

    Args:
        missing: returns why this machine does not have it, or None.
        cores: who runs where.
        uvloop: whether peers in Python run on it.
        is_brief: whether it is measured in fewer rounds, and without several processes.
        on_disk: whether commits wait for a disk; one session is written to, and nothing else.
    """

    name: str
    title: str
    server: Callable[[], AbstractContextManager[str]]
    missing: Callable[[], str | None]
    cores: Cores = "apart"
    uvloop: bool = True
    is_brief: bool = False
    on_disk: bool = False


def _without_uvloop() -> str | None:
    return None if find_spec("uvloop") else f"uvloop does not run on {sys.platform}"


CONDITIONS: Final = [
    Condition(
        "shared",
        "Unix socket, callers and servers on one core",
        embedded,
        _without_uvloop,
        "shared",
    ),
    Condition(
        "apart",
        "Unix socket, callers on one core and servers on the others",
        embedded,
        _without_uvloop,
    ),
    Condition(
        "asyncio",
        "Unix socket, the same cores, asyncio's loop",
        embedded,
        lambda: None,
        uvloop=False,
        is_brief=True,
    ),
    Condition("tls", "TCP with TLS, the same cores", with_tls, without_tls, is_brief=True),
    Condition(
        "disk",
        "One session, 50 writers, commits that wait for a disk",
        partial(embedded, on_disk=True),
        _without_uvloop,
        cores="any",
        is_brief=True,
        on_disk=True,
    ),
]
"""The first two differ in the cores alone; their targets are those of the page."""
