"""The key service, which wraps keys, and the key store: neither alone can decrypt anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A person's data key as it is stored: wrapped, and useless without the master key."""

    user_id: UUID
    key_id: str
    """The master key that wrapped it."""
    wrapped: bytes = field(repr=False)


class KeyService(Protocol):
    """Holds master keys, for instance a client of a cloud KMS.

    The master key never leaves it. ``context`` names the person, as in ``{"user_id": "…"}``, and
    must be authenticated with the key (the encryption context of AWS KMS, the additional
    authenticated data of Google Cloud KMS), so that a wrapped key stored for another person does
    not unwrap. Exceptions of an implementation reach callers as
    :class:`~digitwin.KeyUnavailableError`.
    """

    @property
    def key_id(self) -> str:
        """The name of the master key that wraps, at most 200 characters; not secret."""

    async def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        """Return the key wrapped with the current master key, at most 8 KiB."""

    async def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """Return the key, also if an earlier master key wrapped it.

        Raises:
            Exception: the context is another, or no master key here fits.
        """


class KeyStore(Protocol):
    """Stores wrapped keys; a key it has destroyed cannot be recovered.

    Every change is durable when the call returns, even inside a transaction that is rolled back.
    """

    async def get(self, user_ids: Sequence[UUID]) -> Mapping[UUID, StoredKey]:
        """Return the keys of these people; people without one are left out."""

    async def put_if_absent(self, key: StoredKey) -> StoredKey:
        """Store a key if the person has none, and return the one stored now. Atomic."""

    async def replace(self, old: StoredKey, new: StoredKey) -> bool:
        """Replace ``old``; return False if it is no longer stored. Atomic."""

    async def destroy(self, user_id: UUID) -> bool:
        """Delete a key for good; return False if there was none."""

    async def page(self, after: UUID | None, limit: int) -> Sequence[StoredKey]:
        """Return up to ``limit`` keys after ``after``, in an order of the store's own."""
