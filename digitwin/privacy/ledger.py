"""Who was erased, kept where no restored backup of the database can forget it.

A line is on the disk before the rows go. Should the deletion fail after it, the ledger says of
somebody who is still there that they are erased: it was asked for, and a replay completes it.
The other way round, a backup would bring back somebody whom nobody remembers to have erased.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, cast
from uuid import UUID

from digitwin.errors import ConfigurationError
from digitwin.privacy.subjects import KINDS, SubjectKind

log = logging.getLogger("digitwin.privacy")


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One erasure: whom, as a hash alone."""

    erasure_id: UUID
    subject: SubjectKind
    subject_hash: str
    at: datetime


class Ledger(Protocol):
    """An append-only list outside the database: a file, or a bucket that nobody may empty."""

    async def append(self, entry: LedgerEntry) -> None:
        """Add an entry; it must outlive a crash once this returns. The same one may come again."""

    def entries(self) -> AsyncGenerator[LedgerEntry, None]:
        """All entries, in any order."""


class FileLedger:
    """JSON lines in a file, each brought to the disk before it counts.

    Several processes of one machine may append. A line that a crash cut off is passed over.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.expanduser()

    async def append(self, entry: LedgerEntry) -> None:
        """One write of one line at the end of the file.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        line = {
            "v": 1,
            "erasure_id": str(entry.erasure_id),
            "subject": entry.subject,
            "subject_hash": entry.subject_hash,
            "at": entry.at.isoformat(),
        }
        try:
            await asyncio.to_thread(self._append, json.dumps(line).encode())
        except OSError as error:
            raise self._unusable(error) from error

    async def entries(self) -> AsyncGenerator[LedgerEntry, None]:
        """Every line that was written whole.

        Raises:
            ConfigurationError: the file cannot be read; one that is not there yet is empty.
        """
        try:
            found = await asyncio.to_thread(lambda: list(self._entries()))
        except OSError as error:
            raise self._unusable(error) from error
        for entry in found:
            yield entry

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        made = not self._path.exists()
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            _lock(descriptor)  # until it is closed: whose line ends where
            size = os.fstat(descriptor).st_size
            cut_off = size and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, (b"\n" if cut_off else b"") + line + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if made:
            _bring_to_disk(self._path.parent)

    def _entries(self) -> Iterator[LedgerEntry]:
        if not self._path.exists():
            return
        for number, line in enumerate(self._path.read_text("utf-8").splitlines(), 1):
            if not line:
                continue
            try:
                yield _entry(json.loads(line))
            except (ValueError, KeyError, TypeError):
                log.warning("The erasure ledger's line %d is no entry: a crash cut it off", number)

    def _unusable(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(
            f"The erasure ledger {self._path} cannot be used ({error.strerror})",
            field="erasure_ledger",
        )


def _entry(line: Any) -> LedgerEntry:
    if line["subject"] not in KINDS:
        raise ValueError
    return LedgerEntry(
        UUID(line["erasure_id"]),
        cast(SubjectKind, line["subject"]),
        str(line["subject_hash"]),
        datetime.fromisoformat(line["at"]),
    )


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:
        raise ConfigurationError(
            "A ledger in a file needs a POSIX system: give `connect()` a `ledger` of your own",
            field="erasure_ledger",
        ) from None
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def _bring_to_disk(folder: Path) -> None:
    """The file's name, which stands in its folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
