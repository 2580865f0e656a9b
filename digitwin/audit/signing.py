"""Signs seals and checkpoints, with a key that the database does not hold.

HMAC-SHA-256 (RFC 2104) or Ed25519 (RFC 8032), over the head of a seal.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, Protocol, TypeVar

from digitwin.audit.hash_chain import Checkpoint, Seal
from digitwin.errors import ConfigurationError, KeyUnavailableError
from digitwin.kernel.primitives import key_files
from digitwin.settings import Settings, master_key_bytes

Signed = TypeVar("Signed", Seal, Checkpoint)
SignatureStatus = Literal["valid", "unsigned", "unknown_key", "invalid"]

HMAC: Final = "hmac-sha256"
ED25519: Final = "ed25519"
UNSIGNED: Final = "none"
_PURPOSE = b"digitwin audit signature 1\0"
"""Precedes what is signed, so that no signature of the key for something else fits."""


class AuditSigner(Protocol):
    """A signing key: in this process, a cloud KMS, or a hardware security module."""

    @property
    def key_id(self) -> str:
        """The name of the key, at most 200 characters; not secret."""

    @property
    def algorithm(self) -> str:
        """The algorithm, at most 32 characters; not ``none``."""

    async def sign(self, data: bytes) -> bytes:
        """Return the signature, up to some hundred bytes."""

    async def verify(self, data: bytes, signature: bytes) -> bool:
        """Return whether this key signed the data."""


class HmacSigner:
    """Signs with a secret key: everybody who can verify can also sign."""

    algorithm = HMAC

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.key_id = f"{HMAC}:{_fingerprint(key)}"

    async def sign(self, data: bytes) -> bytes:
        """Return 32 bytes."""
        return hmac.digest(self._key, _PURPOSE + data, "sha256")

    async def verify(self, data: bytes, signature: bytes) -> bool:
        """Return whether this key signed the data; compared in constant time."""
        return hmac.compare_digest(await self.sign(data), signature)


class Ed25519Signer:
    """Signs with a private key; its public key verifies, so an auditor needs no secret.

    Args:
        key: the 32 bytes of the private key.
    """

    algorithm = ED25519

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._private = Ed25519PrivateKey.from_private_bytes(key)
        self._public = Ed25519Verifier(self._private.public_key().public_bytes_raw())
        self.key_id = self._public.key_id

    @property
    def public_key(self) -> str:
        """The public key in base64, for ``audit_public_keys``."""
        return self._public.public_key

    async def sign(self, data: bytes) -> bytes:
        """Return 64 bytes."""
        return self._private.sign(_PURPOSE + data)

    async def verify(self, data: bytes, signature: bytes) -> bool:
        """Return whether this key signed the data."""
        return await self._public.verify(data, signature)


class Ed25519Verifier:
    """A public key: verifies, but cannot sign."""

    algorithm = ED25519

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        self._key = Ed25519PublicKey.from_public_bytes(key)
        self.public_key = base64.b64encode(key).decode()
        self.key_id = f"{ED25519}:{_fingerprint(key)}"

    async def sign(self, data: bytes) -> bytes:
        raise KeyUnavailableError("A public key cannot sign", key_id=self.key_id)

    async def verify(self, data: bytes, signature: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, _PURPOSE + data)
        except InvalidSignature:
            return False
        return True


class Signers:
    """The key that signs, if there is one, and all keys whose signatures are trusted."""

    def __init__(self, current: AuditSigner | None = None, known: Iterable[AuditSigner] = ()):
        self._current = current
        trusted = [*known] if current is None else [current, *known]
        self._known = {signer.key_id: signer for signer in reversed(trusted)}

    def current(self) -> AuditSigner | None:
        """Return the key that signs."""
        return self._current

    def known(self) -> Mapping[str, AuditSigner]:
        """Return the trusted keys by their ids."""
        return self._known

    async def sign(self, made: Signed) -> Signed:
        """Return it with its head, and with a signature if there is a key."""
        signer = self.current()
        if signer is None:
            return replace(made, head=made.digest())
        named = replace(made, key_id=signer.key_id, algorithm=signer.algorithm)
        head = named.digest()
        return replace(named, head=head, signature=await signer.sign(head))

    async def status(self, made: Seal | Checkpoint) -> SignatureStatus:
        """Check a signature; the caller has compared the head it is over."""
        if made.signature is None or made.key_id is None:
            return "unsigned"
        signer = self.known().get(made.key_id)
        if signer is None:
            return "unknown_key"
        if signer.algorithm != made.algorithm:
            return "invalid"
        return "valid" if await signer.verify(made.head, made.signature) else "invalid"


class KeyFileSigners(Signers):
    """The embedded server's key, in a file of its folder, created at first use."""

    def __init__(self, path: Path, settings: Settings) -> None:
        super().__init__()
        self._path = path
        self._settings = settings

    def current(self) -> AuditSigner | None:
        if self._current is None:
            key_files.write_new(self._path, base64.b64encode(key_files.new_key()).decode())
            self._open()
        return self._current

    def known(self) -> Mapping[str, AuditSigner]:
        if self._current is None and self._path.exists():
            self._open()
        return self._known

    def _open(self) -> None:
        opened = _with_keys(_read(self._path), self._settings)
        self._current, self._known = opened._current, opened._known


def signers_of(settings: Settings, embedded_home: Path | None) -> Signers:
    """Return the signers that the settings name; none signs if no key is set.

    Args:
        embedded_home: the folder of the embedded server, which has a key of its own.

    Raises:
        ConfigurationError: the key file cannot be used, or both settings are set.
    """
    if settings.audit_key is not None and settings.audit_key_file is not None:
        raise ConfigurationError(
            "Both `audit_key` and `audit_key_file` are set: leave one out", field="audit_key"
        )
    if settings.audit_key is not None:
        return _with_keys([master_key_bytes(settings.audit_key.get_secret_value())], settings)
    if settings.audit_key_file is not None:
        return _with_keys(_read(settings.audit_key_file.expanduser()), settings)
    if embedded_home is not None:
        return KeyFileSigners(embedded_home / "audit.key", settings)
    return _with_keys([], settings)


def _with_keys(keys: Sequence[bytes], settings: Settings) -> Signers:
    """The first key signs; the others and the retired ones are trusted with either algorithm."""
    retired = settings.audit_keys_retired
    encoded = [] if retired is None else retired.get_secret_value().split(",")
    earlier = [*keys[1:], *map(master_key_bytes, encoded)]
    public = [] if settings.audit_public_keys is None else settings.audit_public_keys.split(",")
    known: list[AuditSigner] = [Ed25519Verifier(master_key_bytes(key)) for key in public]
    for key in earlier:
        known += [HmacSigner(key), Ed25519Signer(key)]
    if not keys:
        return Signers(None, known)
    if settings.audit_signature == ED25519:
        return Signers(Ed25519Signer(keys[0]), [HmacSigner(keys[0]), *known])
    return Signers(HmacSigner(keys[0]), known)


def _read(path: Path) -> list[bytes]:
    return key_files.read(
        path,
        field="audit_key_file",
        advice="create one with `digitwin keys generate --file PATH` and set"
        " DIGITWIN_AUDIT_KEY_FILE",
    )


def _fingerprint(key: bytes) -> str:
    return hashlib.sha256(b"digitwin audit key\0" + key).hexdigest()[:16]
