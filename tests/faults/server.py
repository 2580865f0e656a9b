"""PostgreSQL servers of a test's own, to be stopped and restarted at will."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from digitwin.servers import cluster, embedded
from digitwin.testing.databases import fast_folder

DEBIAN = Path("/usr/lib/postgresql/15/bin")


class Server(ABC):
    """One cluster in one folder, whose superuser ``postgres`` anyone may be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"

    @staticmethod
    @abstractmethod
    def missing() -> str | None:
        """Why it cannot run here."""

    @abstractmethod
    def start(self) -> None:
        """Make it if need be, start it, and wait until it answers."""

    @abstractmethod
    def stop(self) -> None:
        """End every connection and stop it."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it answers, for its superuser."""

    @abstractmethod
    def copy(self, primary: Server) -> None:
        """Make it a standby of ``primary``, which streams from it once it is started."""

    def restart(self) -> None:
        """Stop it under whoever is connected, and start it again."""
        self.stop()
        self.start()

    def _base_backup(self, primary: Server) -> tuple[str, ...]:
        """The arguments of ``pg_basebackup``."""
        return ("-d", primary.url, "-R", "-c", "fast", "--no-sync")


class Embedded18(Server):
    """The one that comes with the extra ``embedded``."""

    @staticmethod
    def missing() -> str | None:
        return None if embedded.is_installed() else "digitwin[embedded] is not installed"

    def start(self) -> None:
        self._target = cluster.start(self.data)

    def stop(self) -> None:
        cluster.stop(self.data)

    def copy(self, primary: Server) -> None:
        self.data.mkdir(mode=0o700)
        cluster._hand_over(self.data)
        cluster._run(self.data, "pg_basebackup", "-D", str(self.data), *self._base_backup(primary))
        for lock in self.data.glob(".s.PGSQL.*"):  # the primary's socket is in its data folder
            lock.unlink()

    @property
    def url(self) -> str:
        return self._target.url


class Debian15(Server):
    """The one of the package ``postgresql-15``, which as root runs as the user ``postgres``."""

    @staticmethod
    def missing() -> str | None:
        there = (DEBIAN / "postgres").exists()
        return None if there else "Debian's postgresql-15 is not installed"

    def start(self) -> None:
        if not self.data.exists():
            self._own_the_folder()
            self._run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C")
        options = f"-c listen_addresses='' -c fsync=off -c max_connections=200 -k {self.folder}"
        self._run("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-w", "-m", "fast", "stop")

    def copy(self, primary: Server) -> None:
        self._own_the_folder()
        self._run("pg_basebackup", *self._base_backup(primary))

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.folder}"

    def _own_the_folder(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(DEBIAN / program), "-D", str(self.data), *arguments],
            cwd=self.folder,
            user=pwd.getpwnam("postgres").pw_uid if os.geteuid() == 0 else None,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )


@contextmanager
def throw_away(kind: type[Server]) -> Iterator[Server]:
    """A new server of this kind, which is gone after the block."""
    with TemporaryDirectory(
        prefix="digitwin-server-", dir=fast_folder(), ignore_cleanup_errors=True
    ) as path:
        server = kind(Path(path))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def standby_of(primary: Server) -> Iterator[Server]:
    """A hot standby that streams from ``primary``, which is gone after the block."""
    with TemporaryDirectory(
        prefix="digitwin-standby-", dir=fast_folder(), ignore_cleanup_errors=True
    ) as path:
        server = type(primary)(Path(path))
        server.copy(primary)
        server.start()
        try:
            yield server
        finally:
            server.stop()
