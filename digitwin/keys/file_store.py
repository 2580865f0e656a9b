"""A key store in files: a folder with one file per person, named by a hash of the id.

No copy of the database contains these keys, neither a replica nor the archived WAL. Every
instance of the service must see the same folder, and the folder needs a backup of its own.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from digitwin.errors import ConfigurationError, KeyUnavailableError
from digitwin.kernel.primitives import private_file
from digitwin.keys.ports import StoredKey

T = TypeVar("T")
SUFFIX = ".key"


class FileKeyStore:
    """Keeps wrapped keys in files; a lock in the folder serializes changes among processes."""

    def __init__(self, folder: Path) -> None:
        """Create the folder if it is missing, and remove drafts of processes that died.

        Raises:
            ConfigurationError: the folder cannot be used.
        """
        self._folder = folder.expanduser().resolve()
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked():
                private_file.remove_drafts(self._folder, SUFFIX)
        except OSError as error:
            raise ConfigurationError(
                f"The key store's folder {self._folder} cannot be used ({error.strerror})",
                field="key_store_path",
            ) from None

    async def get(self, user_ids: Sequence[UUID]) -> Mapping[UUID, StoredKey]:
        """Read one file per person."""
        return await _in_thread(lambda: self._get(user_ids))

    async def put_if_absent(self, key: StoredKey) -> StoredKey:
        """Store a key if the person has none, and return the stored one."""
        return await _in_thread(lambda: self._put_if_absent(key))

    async def replace(self, old: StoredKey, new: StoredKey) -> bool:
        """Compare and set, under the lock: a key destroyed in the meantime is not written back."""
        return await _in_thread(lambda: self._replace(old, new))

    async def destroy(self, user_id: UUID) -> bool:
        """Delete the file durably; the disk may keep its blocks until they are overwritten."""
        return await _in_thread(lambda: self._destroy(user_id))

    async def page(self, after: UUID | None, limit: int) -> Sequence[StoredKey]:
        """Return a page in the order of the file names."""
        return await _in_thread(lambda: self._page(after, limit))

    def _get(self, user_ids: Sequence[UUID]) -> dict[UUID, StoredKey]:
        read = (self._read(self._path(user_id)) for user_id in user_ids)
        return {key.user_id: key for key in read if key is not None}

    def _put_if_absent(self, key: StoredKey) -> StoredKey:
        with self._locked():
            stored = self._read(self._path(key.user_id))
            if stored is not None:
                return stored
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
            return private_file.remove(self._path(user_id))

    def _page(self, after: UUID | None, limit: int) -> list[StoredKey]:
        last = "" if after is None else self._path(after).name
        names = sorted(name for name in os.listdir(self._folder) if _is_key(name) and name > last)
        read = (self._read(self._folder / name) for name in names[:limit])
        return [key for key in read if key is not None]

    def _path(self, user_id: UUID) -> Path:
        return self._folder / (hashlib.sha256(user_id.bytes).hexdigest() + SUFFIX)

    def _read(self, path: Path) -> StoredKey | None:
        try:
            stored = json.loads(path.read_bytes())
            wrapped = base64.b64decode(stored["wrapped"], validate=True)
            return StoredKey(UUID(stored["user_id"]), str(stored["key_id"]), wrapped)
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError):
            raise KeyUnavailableError(f"The key file {path.name} cannot be read") from None

    def _write(self, key: StoredKey) -> None:
        document = {
            "user_id": str(key.user_id),
            "key_id": key.key_id,
            "wrapped": base64.b64encode(key.wrapped).decode(),
        }
        private_file.replace(self._path(key.user_id), json.dumps(document).encode())

    def _locked(self) -> AbstractContextManager[None]:
        return private_file.locked(self._folder / "lock")


def _is_key(name: str) -> bool:
    return name.endswith(SUFFIX) and not name.startswith(".")


async def _in_thread(work: Callable[[], T]) -> T:
    """Run it in a thread: a disk, or a folder on the network, may block."""
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise KeyUnavailableError(
            f"The key store's folder cannot be read or written ({error.strerror})"
        ) from error
