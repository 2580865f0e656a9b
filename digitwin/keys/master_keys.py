"""Master keys: from a setting, from a file, or not configured.

A master key is 32 bytes in base64. Several may be configured: the first one wraps, the others
only unwrap, until ``digitwin keys rotate`` has wrapped every key with the first one.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from digitwin.errors import ConfigurationError, KeyUnavailableError
from digitwin.kernel.primitives import key_files
from digitwin.keys import encryption
from digitwin.keys.ports import KeyService
from digitwin.settings import Settings, master_key_bytes

FINGERPRINT_BYTES = 8

ADVICE = (
    "create one with `digitwin keys generate` and set DIGITWIN_MASTER_KEY, or write it to a file"
    " (`digitwin keys generate --file PATH`) and set DIGITWIN_MASTER_KEY_FILE"
)


def generate() -> str:
    """Return a new master key, in base64."""
    return base64.b64encode(encryption.new_key()).decode()


def write_new(path: Path) -> bool:
    """Write a new master key to a file, readable by its owner alone.

    Returns:
        False if the file exists.
    """
    return key_files.write_new(path, generate())


def read(path: Path) -> list[bytes]:
    """Read the keys of a file, one a line; the first one wraps.

    Raises:
        ConfigurationError: the file cannot be read, has no key, or others may read it.
    """
    return key_files.read(path, field="master_key_file", advice=ADVICE)


class LocalKeyService:
    """A key service in this process: the first key wraps, the others only unwrap."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {_fingerprint(key): key for key in keys}
        self._current = _fingerprint(keys[0])

    @property
    def key_id(self) -> str:
        """The fingerprint of the key that wraps, which does not reveal it."""
        return f"local:{self._current.hex()}"

    async def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        """Return the master key's fingerprint and the encrypted key."""
        master = encryption.opened(self._keys[self._current])
        return self._current + encryption.encrypt(master, key, _aad(context))

    async def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """Decrypt a key with the master key that wrapped it.

        Raises:
            KeyUnavailableError: that one is not configured, or the wrapped key was changed or
                belongs to another person.
        """
        fingerprint, encrypted = wrapped[:FINGERPRINT_BYTES], wrapped[FINGERPRINT_BYTES:]
        master = self._keys.get(fingerprint)
        if master is None:
            key_id = f"local:{fingerprint.hex()}"
            raise KeyUnavailableError(
                f"The master key {key_id} is not configured: add it to DIGITWIN_MASTER_KEY,"
                " DIGITWIN_MASTER_KEYS_RETIRED or the key file",
                key_id=key_id,
            )
        try:
            return encryption.decrypt(encryption.opened(master), encrypted, _aad(context))
        except encryption.DecryptionError:
            raise KeyUnavailableError(
                "A wrapped key was changed, or belongs to another person", **context
            ) from None


class KeyFileService:
    """The embedded server's key service: a key file in its folder, created at first use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: LocalKeyService | None = None

    @property
    def key_id(self) -> str:
        return self._opened().key_id

    async def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        return await self._opened().wrap(key, context)

    async def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        return await self._opened().unwrap(wrapped, context)

    def _opened(self) -> LocalKeyService:
        if self._keys is None:
            write_new(self._path)
            self._keys = LocalKeyService(read(self._path))
        return self._keys


class MissingKeyService:
    """Used if no master key is configured: raises an error that says how to create one."""

    @property
    def key_id(self) -> str:
        raise _missing()

    async def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        raise _missing()

    async def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        raise _missing()


def service_of(settings: Settings, embedded_home: Path | None) -> KeyService:
    """Return the key service that the settings name.

    Args:
        embedded_home: the folder of the embedded server, which has a key of its own.

    Raises:
        ConfigurationError: the key file cannot be used, or both settings are set.
    """
    if settings.master_key is not None and settings.master_key_file is not None:
        raise ConfigurationError(
            "Both `master_key` and `master_key_file` are set: unset one of them",
            field="master_key",
        )
    if settings.master_key is not None:
        secret = settings.master_keys_retired
        retired = [] if secret is None else secret.get_secret_value().split(",")
        given = [settings.master_key.get_secret_value(), *retired]
        return LocalKeyService([master_key_bytes(key) for key in given])
    if settings.master_key_file is not None:
        return LocalKeyService(read(settings.master_key_file.expanduser()))
    if embedded_home is not None:
        return KeyFileService(embedded_home / "master.key")
    return MissingKeyService()


def _missing() -> ConfigurationError:
    return ConfigurationError(
        f"Some fields are encrypted, and no master key is configured: {ADVICE}",
        field="master_key",
    )


def _fingerprint(key: bytes) -> bytes:
    return hashlib.sha256(b"digitwin master key\0" + key).digest()[:FINGERPRINT_BYTES]


def _aad(context: Mapping[str, str]) -> bytes:
    pairs = sorted(context.items())
    return b"digitwin key\0" + b"\0".join(f"{name}={value}".encode() for name, value in pairs)
