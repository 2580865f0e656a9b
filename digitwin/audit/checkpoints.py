"""Keeps the heads of seals outside the database, where forging the chain does not reach them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Final, ParamSpec, Protocol, TypeVar

from digitwin.audit.hash_chain import Seal
from digitwin.errors import ConfigurationError
from digitwin.kernel.primitives import private_file

P = ParamSpec("P")
T = TypeVar("T")

CHUNK: Final = 500
_TAIL: Final = 64 * 1024
"""Bytes read to find the last line; a line has a few hundred."""


class CheckpointSink(Protocol):
    """Append-only storage: a file, a log service, or a bucket with object lock."""

    async def last(self) -> int:
        """Return the number of the newest seal stored; 0 if there is none."""

    async def append(self, seals: Sequence[Seal]) -> None:
        """Store the heads of these seals, in order; skip those already stored."""

    def read(self) -> AsyncGenerator[tuple[int, bytes], None]:
        """Yield number and head of every seal stored, oldest first."""


class FileCheckpointSink:
    """A file with one JSON line per seal, durable once ``append`` returns.

    Several processes may share it. A line that a crash cut off is skipped.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.expanduser()

    async def last(self) -> int:
        """Return the number of the newest seal in the file.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        return await _in_thread(self._last)

    async def append(self, seals: Sequence[Seal]) -> None:
        """Append the seals that the file does not have.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        await _in_thread(self._append, seals)

    async def read(self) -> AsyncGenerator[tuple[int, bytes], None]:
        """Yield number and head of every seal, in the order of the file.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        at = 0
        while True:
            lines, at = await _in_thread(self._read, at)
            if not lines:
                return
            for line in lines:
                if (parsed := _parse(line)) is not None:
                    yield parsed

    def _last(self) -> int:
        try:
            with self._path.open("rb") as file:
                return _newest(file)
        except FileNotFoundError:
            return 0

    def _append(self, seals: Sequence[Seal]) -> None:
        with private_file.appending(self._path) as file:
            newest = _newest(file)  # under the lock: another process may have been faster
            file.writelines(_line(seal) for seal in seals if seal.number > newest)

    def _read(self, at: int) -> tuple[list[bytes], int]:
        try:
            with self._path.open("rb") as file:
                file.seek(at)
                lines = [line for line, _ in zip(file, range(CHUNK), strict=False)]
        except FileNotFoundError:
            return [], at
        return lines, at + sum(map(len, lines))


def _newest(file: BinaryIO) -> int:
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - _TAIL))
    lines = file.read().splitlines()
    return max((parsed[0] for line in lines if (parsed := _parse(line)) is not None), default=0)


def _line(seal: Seal) -> bytes:
    line = json.dumps(
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
    return f"{line}\n".encode()


def _parse(line: bytes) -> tuple[int, bytes] | None:
    try:
        fields = json.loads(line)
        return int(fields["seal"]), bytes.fromhex(fields["head"])
    except (KeyError, TypeError, ValueError):
        return None


async def _in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except OSError as error:
        raise ConfigurationError(
            f"The checkpoint file {error.filename} cannot be used ({error.strerror})",
            field="audit_checkpoints",
        ) from error
