"""Where heads of seals are kept outside the database: what a rewritten chain cannot reach."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from digitwin.audit.hash_chain import Seal
from digitwin.errors import ConfigurationError

CHUNK: Final = 500
_TAIL: Final = 64 * 1024
"""More than a line is long, by far."""


class CheckpointSink(Protocol):
    """A place that is only added to, such as a file, a log service, or a bucket with a lock."""

    async def last(self) -> int:
        """The number of the newest seal it holds; 0 where it holds none."""

    async def append(self, seals: Sequence[Seal]) -> None:
        """Keep their heads, in this order; those it holds by now are passed over."""

    def read(self) -> AsyncGenerator[tuple[int, bytes], None]:
        """Number and head of every seal it holds, oldest first."""


class FileSink:
    """A file with a line in JSON for each seal; on the disk before ``append`` returns.

    Several processes may share it. A line that was broken off is followed by a whole one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.expanduser()

    async def last(self) -> int:
        newest: int = await _in_thread(self._last)
        return newest

    async def append(self, seals: Sequence[Seal]) -> None:
        await _in_thread(self._append, seals)

    async def read(self) -> AsyncGenerator[tuple[int, bytes], None]:
        at = 0
        while True:
            lines, at = await _in_thread(self._some, at)
            if not lines:
                return
            for line in lines:
                if (said := _parsed(line)) is not None:
                    yield said

    def _last(self) -> int:
        try:
            with self._path.open("rb") as file:
                return _newest(file)
        except FileNotFoundError:
            return 0

    def _append(self, seals: Sequence[Seal]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path, "ab+", opener=_for_me_alone) as file, _alone(file):
            newest = _newest(file)
            lines = [_line(seal) for seal in seals if seal.number > newest]
            if file.tell() and not _ends_well(file):
                lines.insert(0, "")
            file.write("".join(line + "\n" for line in lines).encode())
            file.flush()
            os.fsync(file.fileno())

    def _some(self, at: int) -> tuple[list[bytes], int]:
        try:
            with self._path.open("rb") as file:
                file.seek(at)
                lines = [line for line, _ in zip(file, range(CHUNK), strict=False)]
        except FileNotFoundError:
            return [], at
        return lines, at + sum(map(len, lines))


def _newest(file: Any) -> int:
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - _TAIL))
    found = [said[0] for line in file.read().splitlines() if (said := _parsed(line)) is not None]
    return max(found, default=0)


def _ends_well(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")


def _line(seal: Seal) -> str:
    return json.dumps(
        {
            "seal": seal.number,
            "created_at": seal.created_at.isoformat(),
            "records": seal.records,
            "head": seal.head.hex(),
            "key_id": seal.key_id,
            "algorithm": seal.algorithm,
            "signature": None if seal.signature is None else seal.signature.hex(),
        }
    )


def _parsed(line: bytes) -> tuple[int, bytes] | None:
    try:
        said = json.loads(line)
        return int(said["seal"]), bytes.fromhex(said["head"])
    except (KeyError, TypeError, ValueError):
        return None


def _for_me_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextmanager
def _alone(file: Any) -> Iterator[None]:
    """One process at a time, where the system can tell; the lock goes with the file."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    fcntl.flock(file.fileno(), fcntl.LOCK_EX)
    yield


async def _in_thread(work: Any, *args: Any) -> Any:
    try:
        return await asyncio.to_thread(work, *args)
    except OSError as error:
        raise ConfigurationError(
            f"The file of checkpoints {error.filename} cannot be used ({error.strerror})",
            field="audit_checkpoints",
        ) from error
