"""The digests of a seal: leaves over records, a root over leaves, and heads linked to a chain.

Each seal includes the head of the seal before it, so that no record can change unnoticed unless
every later seal is rewritten (linked timestamps: Haber and Stornetta, 1991).

A field with personal data enters a leaf as a commitment: HMAC-SHA-256 (RFC 2104) under a random
salt for this field of this record. Without the salt nobody can guess the value, however short it
is. An erasure deletes the salt; the commitment stays, so the seal still verifies.

Values are encoded unambiguously before they are hashed, as TupleHash does (NIST SP 800-185):
different lists of values have different encodings. Every digest begins with its purpose, so that
one kind of digest cannot be used as another (domain separation, RFC 6962, 2.1).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

from digitwin.audit.erasure import NO_SALT, PSEUDONYM_VERSION, SALT_BYTES

DIGEST_BYTES: Final = 32
GENESIS: Final = bytes(DIGEST_BYTES)
"""The previous head of the first seal."""

PLAIN: Final = ("action", "resource", "result")
"""Fields hashed as they are, with ``id`` and ``created_at``."""
PERSONAL: Final = ("user_id", "actor_id", "resource_id", "ip_address", "user_agent", "metadata")
"""Fields hashed as commitments, in the order of a leaf's commitments and salts."""

Value: TypeAlias = "str | bytes | int | UUID | datetime | None"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def encode(*values: Value) -> bytes:
    """Encode values with their types and lengths: different lists encode differently."""
    return b"".join(map(_encode, values))


def _encode(value: Value) -> bytes:
    if value is None:
        return b"n"
    if isinstance(value, str):
        text = value.encode()
        return b"s" + len(text).to_bytes(8) + text
    if isinstance(value, UUID):
        return b"u" + value.bytes
    if isinstance(value, datetime):
        return b"t" + ((value - _EPOCH) // _MICROSECOND).to_bytes(8, signed=True)
    if isinstance(value, int):
        return b"i" + value.to_bytes(8, signed=True)
    return b"b" + len(value).to_bytes(8) + value


def digest(purpose: str, *values: Value) -> bytes:
    """Return the SHA-256 of a purpose and values."""
    return hashlib.sha256(encode(f"digitwin audit {purpose} 1", *values)).digest()


def commitment(salt: bytes, field: str, value: Value) -> bytes:
    """Return a digest that binds a field to its value and does not reveal it."""
    return hmac.digest(salt, encode(field, value), "sha256")


def new_salts() -> bytes:
    """Return a random salt for each personal field, concatenated."""
    return secrets.token_bytes(SALT_BYTES * len(PERSONAL))


def split(joined: bytes, size: int) -> list[bytes]:
    """Split concatenated digests or salts."""
    return [joined[at : at + size] for at in range(0, len(joined), size)]


def commitments(record: Mapping[str, Any], salts: bytes, stored: bytes = b"") -> bytes:
    """Compute a record's commitments, concatenated.

    Args:
        record: the record's fields.
        salts: its salts, concatenated.
        stored: the commitments in its leaf; one whose salt was erased is copied from here.
    """
    made = []
    for at, (field, salt) in enumerate(zip(PERSONAL, split(salts, SALT_BYTES), strict=True)):
        if salt == NO_SALT:
            made.append(stored[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES])
        else:
            made.append(commitment(salt, field, record[field]))
    return b"".join(made)


def content(record: Mapping[str, Any], committed: bytes) -> bytes:
    """Return the digest of a record's fields, the personal ones by their commitments."""
    return digest("content", *(record[field] for field in PLAIN), committed)


def leaf(seal: int, place: int, record_id: UUID, created_at: datetime, content: bytes) -> bytes:
    """Return the digest of a record's content, time and place in a seal."""
    return digest("leaf", seal, place, record_id, created_at, content)


class RootHash:
    """The digest of a seal's leaves, added one by one in their order."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._hash = hashlib.sha256(encode("digitwin audit root 1"))
        for one in leaves:
            self.add(one)

    def add(self, leaf: bytes) -> None:
        self._hash.update(leaf)

    def digest(self) -> bytes:
        return self._hash.digest()


def is_erased(record: Mapping[str, Any], salts: bytes) -> bool | None:
    """Check that fields without a salt are empty or hold a pseudonym.

    A missing salt alone is no proof of an erasure. With this check, somebody who deletes salts
    can empty fields, but cannot make them say something else.

    Returns:
        Whether all fields without a salt are; None if every field has its salt.
    """
    unsalted = [
        record[field]
        for field, salt in zip(PERSONAL, split(salts, SALT_BYTES), strict=True)
        if salt == NO_SALT
    ]
    return all(map(_is_empty, unsalted)) if unsalted else None


def _is_empty(value: Any) -> bool:
    if isinstance(value, UUID):
        return value.version == PSEUDONYM_VERSION
    return value is None or value == "{}"


@dataclass(frozen=True, slots=True)
class Seal:
    """A batch of records, linked to the seal before; unsigned if there is no key."""

    number: int
    created_at: datetime
    horizon: datetime | None
    newest: datetime | None
    records: int
    root: bytes
    previous: bytes
    head: bytes = b""
    key_id: str | None = None
    algorithm: str = "none"
    signature: bytes | None = None

    def digest(self) -> bytes:
        """Compute its head."""
        return digest(
            *("seal", self.number, self.created_at, self.horizon, self.newest, self.records),
            *(self.root, self.previous, self.key_id, self.algorithm),
        )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The start of the chain after a removal: the seal after ``seal``, linked to its head."""

    number: int
    created_at: datetime
    removed_before: datetime
    seal: int
    seal_head: bytes
    records: int
    head: bytes = b""
    key_id: str | None = None
    algorithm: str = "none"
    signature: bytes | None = None

    def digest(self) -> bytes:
        """Compute its head."""
        return digest(
            *("checkpoint", self.number, self.created_at, self.removed_before, self.seal),
            *(self.seal_head, self.records, self.key_id, self.algorithm),
        )


@dataclass(frozen=True, slots=True)
class Leaf:
    """The digests and salts that a seal stores for one record."""

    place: int
    record_id: UUID
    created_at: datetime
    content: bytes
    leaf: bytes
    commitments: bytes
    salts: bytes


def leaves_of(seal: int, records: Sequence[Mapping[str, Any]]) -> list[Leaf]:
    """Compute the leaves of a new seal, with new salts."""
    leaves = []
    for place, record in enumerate(records, 1):
        salts = new_salts()
        committed = commitments(record, salts)
        hashed = content(record, committed)
        id, created_at = record["id"], record["created_at"]
        digest = leaf(seal, place, id, created_at, hashed)
        leaves.append(Leaf(place, id, created_at, hashed, digest, committed, salts))
    return leaves
