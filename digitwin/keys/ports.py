"""Who wraps keys and who keeps them: two places, so that neither alone opens anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A person's data key as it is kept: wrapped, and worth nothing without the master key."""

    user_id: UUID
    key_id: str
    """Which master key wrapped it."""
    wrapped: bytes = field(repr=False)


class KeyService(Protocol):
    """A holder of master keys, such as a cloud's KMS behind its own client.

    The master key never leaves it. ``context`` names whose key it is, as in
    ``{"user_id": "…"}``, and must be authenticated with the key (the encryption context of
    AWS KMS, the additional authenticated data of Google Cloud KMS): a wrapped key moved to
    another person then opens nothing. What an implementation raises reaches callers as
    :class:`~digitwin.KeyUnavailableError`.
    """

    @property
    def key_id(self) -> str:
        """The name of the master key that wraps now, at most 200 characters; never secret."""

    async def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        """The key under the present master key, at most 8 KiB."""

    async def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """The key again, also where an earlier master key wrapped it.

        Raises:
            Exception: the context is another, or no master key here fits.
        """


class KeyStore(Protocol):
    """Where wrapped keys are kept: what it forgets cannot be read again by anybody.

    Every change stands once the call has returned, whatever transaction is open around it.
    """

    async def get(self, user_ids: Sequence[UUID]) -> Mapping[UUID, StoredKey]:
        """The keys of these people; who has none is left out."""

    async def put_if_absent(self, key: StoredKey) -> StoredKey:
        """Keep this key, unless there is one; the one that is kept now. Atomic."""

    async def replace(self, old: StoredKey, new: StoredKey) -> bool:
        """Keep ``new`` in place of ``old``; False where ``old`` is not kept any more. Atomic."""

    async def destroy(self, user_id: UUID) -> bool:
        """Forget the key for good; False where there was none."""

    async def page(self, after: UUID | None, limit: int) -> Sequence[StoredKey]:
        """Up to ``limit`` keys behind ``after`` in an order of the store's own."""
