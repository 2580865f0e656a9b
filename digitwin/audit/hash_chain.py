"""What stands for a record in a seal: digests that fix it, and none of which gives it away.

Every field of a person enters as a commitment, an HMAC under a salt of that one field of that
one record. Without the salt a value cannot be tried, however short it is; and where the salt is
erased, the commitment alone still fixes all that is around it. What enters a digest is written
so that no two different lists of values are written alike, and begins with what it is about,
so that no digest can stand in another's place.
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
NOTHING: Final = bytes(DIGEST_BYTES)
"""Stands before the first seal."""

OPEN: Final = ("action", "resource", "result")
"""Fields that enter as they are, with ``id`` and ``created_at``."""
PERSONAL: Final = ("user_id", "actor_id", "resource_id", "ip_address", "user_agent", "metadata")
"""Fields that enter as commitments, in the order of a leaf's commitments and salts."""

Part: TypeAlias = "str | bytes | int | UUID | datetime | None"

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def written(*parts: Part) -> bytes:
    """Values as bytes, each with its type and length: different values differ."""
    return b"".join(map(_written, parts))


def _written(part: Part) -> bytes:
    if part is None:
        return b"n"
    if isinstance(part, str):
        text = part.encode()
        return b"s" + len(text).to_bytes(8) + text
    if isinstance(part, UUID):
        return b"u" + part.bytes
    if isinstance(part, datetime):
        return b"t" + ((part - _BEGINNING) // _MICROSECOND).to_bytes(8, signed=True)
    if isinstance(part, int):
        return b"i" + part.to_bytes(8, signed=True)
    return b"b" + len(part).to_bytes(8) + part


def digest(about: str, *parts: Part) -> bytes:
    """SHA-256 of what it is about, and of the values."""
    return hashlib.sha256(written(f"digitwin audit {about} 1", *parts)).digest()


def commitment(salt: bytes, name: str, value: Part) -> bytes:
    """What fixes a field's value and cannot be tried without the salt."""
    return hmac.digest(salt, written(name, value), "sha256")


def new_salts() -> bytes:
    """One for each personal field."""
    return secrets.token_bytes(SALT_BYTES * len(PERSONAL))


def split(joined: bytes, size: int) -> list[bytes]:
    """Digests or salts that stand side by side, one by one."""
    return [joined[at : at + size] for at in range(0, len(joined), size)]


def commitments(record: Mapping[str, Any], salts: bytes, kept: bytes = b"") -> bytes:
    """A record's commitments side by side; for what has no salt any more, the one ``kept``."""
    made = []
    for at, (name, salt) in enumerate(zip(PERSONAL, split(salts, SALT_BYTES), strict=True)):
        if salt == NO_SALT:
            made.append(kept[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES])
        else:
            made.append(commitment(salt, name, record[name]))
    return b"".join(made)


def content(record: Mapping[str, Any], committed: bytes) -> bytes:
    """What fixes what a record says."""
    return digest("content", *(record[name] for name in OPEN), committed)


def leaf(seal: int, place: int, record_id: UUID, created_at: datetime, said: bytes) -> bytes:
    """What fixes a record, its time and its place."""
    return digest("leaf", seal, place, record_id, created_at, said)


def root(leaves: Iterable[bytes]) -> bytes:
    """What fixes a batch: its leaves in their order."""
    return Root().over(leaves)


class Root:
    """The root of leaves that come one by one."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(written("digitwin audit root 1"))

    def add(self, leaf: bytes) -> None:
        self._hash.update(leaf)

    def over(self, leaves: Iterable[bytes]) -> bytes:
        for one in leaves:
            self.add(one)
        return self._hash.digest()


def is_erased(record: Mapping[str, Any], salts: bytes) -> bool | None:
    """Whether what lost its salt lost its value too; None where nothing lost its salt.

    A salt alone proves nothing by its absence, so a field without one may hold a pseudonym or
    nothing: whoever takes a salt away can empty a field that way, and never make it say
    something else.
    """
    lost = [
        record[name]
        for name, salt in zip(PERSONAL, split(salts, SALT_BYTES), strict=True)
        if salt == NO_SALT
    ]
    return all(map(_says_nothing, lost)) if lost else None


def _says_nothing(value: Any) -> bool:
    if isinstance(value, UUID):
        return value.version == PSEUDONYM_VERSION
    return value is None or value == "{}"


@dataclass(frozen=True, slots=True)
class Seal:
    """A batch of records, bound to the seal before; without a key it is unsigned."""

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
        """What its head must be."""
        return digest(
            *("seal", self.number, self.created_at, self.horizon, self.newest, self.records),
            *(self.root, self.previous, self.key_id, self.algorithm),
        )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the chain begins after what was removed: behind ``seal``, whose head it keeps."""

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
        """What its head must be."""
        return digest(
            *("checkpoint", self.number, self.created_at, self.removed_before, self.seal),
            *(self.seal_head, self.records, self.key_id, self.algorithm),
        )


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a seal keeps of one record."""

    place: int
    record_id: UUID
    created_at: datetime
    content: bytes
    leaf: bytes
    commitments: bytes
    salts: bytes


def leaves_of(number: int, records: Sequence[Mapping[str, Any]]) -> list[Leaf]:
    """The leaves of a new seal, with salts of their own."""
    made = []
    for place, record in enumerate(records, 1):
        salts = new_salts()
        committed = commitments(record, salts)
        said = content(record, committed)
        id, created_at = record["id"], record["created_at"]
        fixed = leaf(number, place, id, created_at, said)
        made.append(Leaf(place, id, created_at, said, fixed, committed, salts))
    return made
