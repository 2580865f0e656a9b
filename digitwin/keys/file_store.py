"""Wrapped keys in a folder, one file for each person, named by a hash of the id.

No copy of the database of any kind carries them, its replicas and its archived log
included. Every instance of the service must see the same folder, and the folder needs a
backup of its own. A file appears complete or not at all: it is written beside its place,
brought to the disk, then given its name.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from digitwin.errors import ConfigurationError, KeyUnavailableError
from digitwin.keys.ports import StoredKey

T = TypeVar("T")
SUFFIX = ".key"
MINE_ALONE = 0o600


class FileKeyStore:
    """Keys in files; one change at a time across all processes, by a lock on the folder."""

    def __init__(self, folder: Path) -> None:
        """Make the folder where it is missing.

        Raises:
            ConfigurationError: it cannot be used.
        """
        self._folder = folder.expanduser().resolve()
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked():
                self._sweep()
        except OSError as error:
            raise ConfigurationError(
                f"The key store's folder {self._folder} cannot be used ({error.strerror})",
                field="key_store_path",
            ) from None

    async def get(self, user_ids: Sequence[UUID]) -> Mapping[UUID, StoredKey]:
        """One file for each."""
        return await _in_thread(lambda: self._get(user_ids))

    async def put_if_absent(self, key: StoredKey) -> StoredKey:
        """The name of the file decides who was first."""
        return await _in_thread(lambda: self._put_if_absent(key))

    async def replace(self, old: StoredKey, new: StoredKey) -> bool:
        """Under the folder's lock: what was destroyed meanwhile stays destroyed."""
        return await _in_thread(lambda: self._replace(old, new))

    async def destroy(self, user_id: UUID) -> bool:
        """The file is gone from its folder once this returns; what the disk keeps is its own."""
        return await _in_thread(lambda: self._destroy(user_id))

    async def page(self, after: UUID | None, limit: int) -> Sequence[StoredKey]:
        """In the order of the files' names."""
        return await _in_thread(lambda: self._page(after, limit))

    def _get(self, user_ids: Sequence[UUID]) -> dict[UUID, StoredKey]:
        read = (self._read(self._path(user_id)) for user_id in user_ids)
        return {key.user_id: key for key in read if key is not None}

    def _put_if_absent(self, key: StoredKey) -> StoredKey:
        with self._locked():
            kept = self._read(self._path(key.user_id))
            if kept is not None:
                return kept
            self._write(key)
            return key

    def _replace(self, old: StoredKey, new: StoredKey) -> bool:
        with self._locked():
            if self._read(self._path(old.user_id)) != old:
                return False
            self._write(new)
            return True

    def _destroy(self, user_id: UUID) -> bool:
        with self._locked():
            try:
                self._path(user_id).unlink()
            except FileNotFoundError:
                return False
            self._sync_folder()
            return True

    def _page(self, after: UUID | None, limit: int) -> list[StoredKey]:
        behind = "" if after is None else self._path(after).name
        names = sorted(name for name in os.listdir(self._folder) if _is_key(name) and name > behind)
        read = (self._read(self._folder / name) for name in names[:limit])
        return [key for key in read if key is not None]

    def _path(self, user_id: UUID) -> Path:
        return self._folder / (hashlib.sha256(user_id.bytes).hexdigest() + SUFFIX)

    def _read(self, path: Path) -> StoredKey | None:
        try:
            said = json.loads(path.read_bytes())
            wrapped = base64.b64decode(said["wrapped"], validate=True)
            return StoredKey(UUID(said["user_id"]), str(said["key_id"]), wrapped)
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError):
            raise KeyUnavailableError(f"The key file {path.name} cannot be read") from None

    def _write(self, key: StoredKey) -> None:
        path = self._path(key.user_id)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        said = {
            "user_id": str(key.user_id),
            "key_id": key.key_id,
            "wrapped": base64.b64encode(key.wrapped).decode(),
        }
        try:
            with os.fdopen(_create(draft), "w") as file:
                json.dump(said, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        self._sync_folder()

    def _sync_folder(self) -> None:
        """A name is on the disk once its folder is."""
        if os.name != "posix":
            return
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _sweep(self) -> None:
        """Remove the drafts of those who died while they wrote; called under the lock."""
        for name in os.listdir(self._folder):
            if name.startswith(".") and SUFFIX + "." in name:
                (self._folder / name).unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone among all processes; the operating system takes the lock back from the dead."""
        with open(self._folder / "lock", "a", opener=_for_me_alone) as file:
            _lock(file.fileno())
            yield


def _is_key(name: str) -> bool:
    return name.endswith(SUFFIX) and not name.startswith(".")


def _create(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, MINE_ALONE)


def _for_me_alone(path: str, flags: int) -> int:
    return os.open(path, flags, MINE_ALONE)


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:
        raise ConfigurationError(
            "A key store in files needs a POSIX system: leave `key_store_path` out",
            field="key_store_path",
        ) from None
    fcntl.flock(descriptor, fcntl.LOCK_EX)


async def _in_thread(work: Callable[[], T]) -> T:
    """Off the event loop: a disk may take its time."""
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise KeyUnavailableError(
            f"The key store's folder does not answer ({error.strerror})"
        ) from error
