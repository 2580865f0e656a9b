"""Files for their owner alone: locked between processes, complete or absent, and durable.

A file is created with mode 0600. A whole file is written as a draft beside its place, flushed to
the disk and then renamed, so that readers see either the old content or the new one. Appended
data is flushed before the call returns, and so is the folder wherever a name in it changes.

Locks are lock files of ``filelock``, which works on every platform. Unlike POSIX record locks
(``lockf``), they also exclude threads and other handles of the same process, and the operating
system releases the lock of a process that dies.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Final

MODE: Final = 0o600
POLL_INTERVAL: Final = 0.005
"""Seconds between attempts to get a lock; it is held for the time of one flush to the disk."""


@contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Hold a lock file, exclusively among all threads and processes."""
    from filelock import FileLock  # 40 ms that most commands do not need

    with FileLock(lock, mode=MODE).acquire(poll_interval=POLL_INTERVAL):
        yield


@contextmanager
def appending(path: Path) -> Iterator[BinaryIO]:
    """Open a file of lines to read and append, one caller at a time.

    What is written is on the disk when the block ends. A line that a crash cut off is ended
    first, so that the next one is whole. The lock file is beside it, as ``.NAME.lock``.

    Raises:
        OSError: the file or its folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock_of(path):
        is_new = not path.exists()
        with open(path, "ab+", opener=_private) as file:
            if not _ends_with_newline(file):
                file.write(b"\n")
            yield file
            _sync(file)
        if is_new:
            sync_folder(path.parent)


def _lock_of(path: Path) -> AbstractContextManager[None]:
    """The lock file beside a file; where the folder is not writable, the file itself (POSIX)."""
    beside = path.with_name(f".{path.name}.lock")
    if os.name != "posix" or os.access(path.parent, os.W_OK) or not path.exists():
        return locked(beside)
    return _locked_file(path)


@contextmanager
def _locked_file(path: Path) -> Iterator[None]:
    import fcntl

    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released as the file is closed
        yield


def replace(path: Path, data: bytes) -> None:
    """Write a whole file, in place of one that exists.

    Raises:
        OSError: the file cannot be written; one that exists is unchanged.
    """
    with _draft(path) as file:
        file.write(data)
        _sync(file)
        file.close()  # an open file cannot be renamed on Windows
        _publish(file, path)


async def replace_streamed(path: Path, chunks: AsyncIterable[bytes]) -> int:
    """Write a whole file from chunks, in threads, in place of one that exists.

    Returns:
        Its size in bytes.

    Raises:
        OSError: as :func:`replace`.
    """
    with _draft(path) as file:
        size = 0
        async for chunk in chunks:
            size += await asyncio.to_thread(file.write, chunk)
        await asyncio.to_thread(_sync, file)
        file.close()
        await asyncio.to_thread(_publish, file, path)
    return size


def create(path: Path, data: bytes) -> bool:
    """Write a whole file unless it exists; of several processes, one creates it.

    Returns:
        False if it existed.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _draft(path) as file:
        file.write(data)
        _sync(file)
        try:
            os.link(file.name, path)  # a rename would replace a file that exists
        except FileExistsError:
            return False
    sync_folder(path.parent)
    return True


def remove(path: Path) -> bool:
    """Delete a file durably.

    Returns:
        False if there was none.
    """
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    sync_folder(path.parent)
    return True


def remove_drafts(folder: Path, suffix: str) -> None:
    """Delete what processes that died left of files with this suffix; call it under a lock."""
    for draft in folder.glob(f".*{suffix}.*"):
        draft.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Flush a folder: only then does a new name in it outlive a power failure."""
    if os.name != "posix":
        return  # Windows cannot open a folder, and flushes names by itself
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _draft(path: Path) -> Iterator[BinaryIO]:
    """A new file beside its place; removed at the end unless it was renamed."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(draft, "xb", opener=_private) as file:
            yield file
    finally:
        draft.unlink(missing_ok=True)


def _publish(file: BinaryIO, path: Path) -> None:
    os.replace(file.name, path)
    sync_folder(path.parent)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _ends_with_newline(file: BinaryIO) -> bool:
    if not file.seek(0, os.SEEK_END):
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, MODE)
