"""Master keys: from a setting, from a file, or from nobody yet.

A master key is 32 bytes, written in base64. Several may be known: the first one wraps, the
others only unwrap what they wrapped, until ``digitwin keys rotate`` has moved it all over.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from digitwin.errors import ConfigurationError, KeyUnavailableError
from digitwin.kernel.primitives import key_files
from digitwin.keys import encryption
from digitwin.keys.ports import KeyService
from digitwin.settings import Settings, master_key_bytes

FINGERPRINT_BYTES = 8

CURE = (
    "make one with `digitwin keys generate` and set DIGITWIN_MASTER_KEY, or put it into a file"
    " (`digitwin keys generate --file PATH`) and set DIGITWIN_MASTER_KEY_FILE"
)


def generate() -> str:
    """A new master key, in base64."""
    return base64.b64encode(encryption.new_key()).decode()


def write_new(path: Path) -> bool:
    """Make a file with a new master key, for its owner alone; False where there is one."""
    return key_files.write_new(path, generate())


def read(path: Path) -> list[bytes]:
    """The keys of a file, one a line: the first one wraps.

    Raises:
        ConfigurationError: the file cannot be read, holds no key, or others may read it.
    """
    return key_files.read(path, field="master_key_file", cure=CURE)


class LocalKeys:
    """Master keys held in this process: the first one wraps, the others only unwrap."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {_fingerprint(key): AESGCM(key) for key in keys}
        self._current = _fingerprint(keys[0])

    @property
    def key_id(self) -> str:
        """A fingerprint, which says nothing about the key."""
        return f"local:{self._current.hex()}"

    async def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        """Which key, and the given one under it."""
        master = self._keys[self._current]
        return self._current + encryption.encrypt(master, key, _place(context))

    async def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """By whichever of the keys wrapped it.

        Raises:
            KeyUnavailableError: it is not among them, or the wrapped key was changed or moved.
        """
        name, sealed = wrapped[:FINGERPRINT_BYTES], wrapped[FINGERPRINT_BYTES:]
        master = self._keys.get(name)
        if master is None:
            raise KeyUnavailableError(
                f"The master key local:{name.hex()} is not here: add it to DIGITWIN_MASTER_KEY,"
                " DIGITWIN_MASTER_KEYS_RETIRED or the key file",
                key_id=f"local:{name.hex()}",
            )
        try:
            return encryption.decrypt(master, sealed, _place(context))
        except encryption.BrokenSeal:
            raise KeyUnavailableError(
                "A wrapped key was changed, or moved to another person", **context
            ) from None


class KeyFile:
    """A master key file of the embedded server's folder, made when it is first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: LocalKeys | None = None

    @property
    def key_id(self) -> str:
        return self._opened().key_id

    async def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        return await self._opened().wrap(key, context)

    async def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        return await self._opened().unwrap(wrapped, context)

    def _opened(self) -> LocalKeys:
        if self._keys is None:
            write_new(self._path)
            self._keys = LocalKeys(read(self._path))
        return self._keys


class NoMasterKey:
    """Stands where none is configured: whoever needs one is told how to make it."""

    @property
    def key_id(self) -> str:
        raise _missing()

    async def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        raise _missing()

    async def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        raise _missing()


def service_of(settings: Settings, embedded_home: Path | None) -> KeyService:
    """Whoever holds the master key, as the settings say.

    Raises:
        ConfigurationError: the key file cannot be used, or both are set.
    """
    if settings.master_key is not None and settings.master_key_file is not None:
        raise ConfigurationError(
            "Both `master_key` and `master_key_file` are set: leave one out", field="master_key"
        )
    if settings.master_key is not None:
        secret = settings.master_keys_retired
        retired = [] if secret is None else secret.get_secret_value().split(",")
        given = [settings.master_key.get_secret_value(), *retired]
        return LocalKeys([master_key_bytes(key) for key in given])
    if settings.master_key_file is not None:
        return LocalKeys(read(settings.master_key_file.expanduser()))
    if embedded_home is not None:
        return KeyFile(embedded_home / "master.key")
    return NoMasterKey()


def _missing() -> ConfigurationError:
    return ConfigurationError(
        f"Sensitive fields are encrypted, and no master key is configured: {CURE}",
        field="master_key",
    )


def _fingerprint(key: bytes) -> bytes:
    return hashlib.sha256(b"digitwin master key\0" + key).digest()[:FINGERPRINT_BYTES]


def _place(context: Mapping[str, str]) -> bytes:
    pairs = sorted(context.items())
    return b"digitwin key\0" + b"\0".join(f"{name}={value}".encode() for name, value in pairs)
