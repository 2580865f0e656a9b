"""PgBouncer in front of a server, as installed or as DIGITWIN_TEST_PGBOUNCER names it."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from digitwin.kernel.connection import dsn

PREPARES = (1, 21)
"""The first that carries prepared statements from one server connection to another."""
IGNORED = "search_path,statement_timeout,lock_timeout,idle_in_transaction_session_timeout"


def program() -> str | None:
    """Where it is."""
    return os.environ.get("DIGITWIN_TEST_PGBOUNCER") or shutil.which(
        "pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin"
    )


def version() -> tuple[int, int]:
    """Its version; (0, 0) if there is none."""
    found = program()
    if found is None:
        return 0, 0
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    major, minor = re.findall(r"\d+", told.stdout)[:2]
    return int(major), int(minor)


@contextmanager
def in_front_of(url: str, mode: str, **settings: object) -> Iterator[str]:
    """The URL of the database behind a PgBouncer in this mode, for as long as the block lasts."""
    target = dsn.parse(url)
    with TemporaryDirectory(prefix="digitwin-pgbouncer-", dir="/tmp") as path:
        folder = Path(path)
        port = _free_port()
        given = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": folder / "users",
            "pool_mode": mode,
            "ignore_startup_parameters": IGNORED,
            "logfile": folder / "log",
            **settings,
        }
        (folder / "users").write_text(f'"{target.user}" ""\n')
        (folder / "ini").write_text(
            f"[databases]\n* = host={target.host} port={target.port}\n[pgbouncer]\n"
            + "".join(f"{name} = {value}\n" for name, value in given.items())
        )
        process = _start(folder, target.host or "")
        try:
            _wait_for(port, process, folder / "log")
            yield f"postgresql://{target.user}@127.0.0.1:{port}/{target.database}?sslmode=disable"
        finally:
            process.send_signal(signal.SIGTERM if version() < (1, 23) else signal.SIGQUIT)
            process.wait(10)


def _start(folder: Path, host: str) -> subprocess.Popen[bytes]:
    """Root may not run it: then it runs as the owner of the server's socket, or as nobody."""
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        is_socket = host.startswith("/")
        owner = pwd.getpwuid(os.stat(host).st_uid) if is_socket else pwd.getpwnam("nobody")
        for path in (folder, *folder.iterdir()):
            os.chown(path, owner.pw_uid, -1)
        # root's group would be refused in folders that others may pass through
        identity = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    return subprocess.Popen(
        [str(program()), "-q", str(folder / "ini")], stderr=subprocess.DEVNULL, **identity
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = monotonic() + 10
    while monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
    raise RuntimeError(f"PgBouncer did not start: {log.read_text() if log.exists() else ''}")
