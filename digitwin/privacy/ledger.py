"""A list of erasures outside the database, so that a restored backup does not undo them.

An entry is durable before any row is deleted. If the deletion then fails, the ledger names
somebody who still exists: the erasure was requested, and a replay completes it. In the opposite
order, a restored backup could bring back a person whose erasure is recorded nowhere.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, cast
from uuid import UUID

from digitwin.errors import ConfigurationError
from digitwin.kernel.primitives import private_file
from digitwin.privacy.subjects import KINDS, SubjectKind

log = logging.getLogger("digitwin.privacy")


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One erasure; the person is named by a hash only."""

    erasure_id: UUID
    subject: SubjectKind
    subject_hash: str
    at: datetime


class Ledger(Protocol):
    """An append-only list outside the database: a file, or a bucket with object lock."""

    async def append(self, entry: LedgerEntry) -> None:
        """Add an entry, durably once this returns; the same entry may be added again."""

    def entries(self) -> AsyncGenerator[LedgerEntry, None]:
        """Yield all entries, in any order."""


class FileLedger:
    """A file of JSON lines, each durable once ``append`` returns.

    Several processes of one machine may append. A line that a crash cut off is skipped.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.expanduser()

    async def append(self, entry: LedgerEntry) -> None:
        """Append a line.

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
            await asyncio.to_thread(self._append, json.dumps(line))
        except OSError as error:
            raise self._unusable(error) from error

    async def entries(self) -> AsyncGenerator[LedgerEntry, None]:
        """Yield every complete line; none if there is no file.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        try:
            found = await asyncio.to_thread(lambda: list(self._entries()))
        except OSError as error:
            raise self._unusable(error) from error
        for entry in found:
            yield entry

    def _append(self, line: str) -> None:
        with private_file.appending(self._path) as file:
            file.write(f"{line}\n".encode())

    def _entries(self) -> Iterator[LedgerEntry]:
        if not self._path.exists():
            return
        for number, line in enumerate(self._path.read_text("utf-8").splitlines(), 1):
            if not line:
                continue
            try:
                yield _entry(json.loads(line))
            except (ValueError, KeyError, TypeError):
                log.warning(
                    "Line %d of the erasure ledger is incomplete or no entry; it is skipped", number
                )

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
