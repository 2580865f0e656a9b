"""Protocols for what one domain needs of another; ``database.py`` passes the implementation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from digitwin.kernel.execution.executor import Statements


class CacheForgetter(Protocol):
    """Deletes cached entries when the data they were made from changes.

    The methods join the caller's transaction and are rolled back with it.
    """

    async def forget_user(self, user_id: UUID) -> None:
        """Delete all cached entries of this person."""

    async def forget_searches(self, user_id: UUID) -> None:
        """Delete this person's cached searches."""

    async def forget_tags(self, tags: Iterable[str]) -> None:
        """Delete everybody's cached entries with any of these tags."""


class ArtifactQueue(Protocol):
    """Queues what the service keeps in its own storage for deletion there.

    The methods join the caller's transaction ``on``, and are called before it deletes the rows.
    """

    async def queue(self, on: Statements, user_id: UUID) -> int:
        """Queue everything that is kept of a person; return how many."""

    async def queue_rows(self, on: Statements, rows: Iterable[Any]) -> int:
        """Queue rows, with ``table_name``, ``user_id``, ``id``, ``kind`` and encrypted address.

        A row whose address cannot be decrypted is skipped. Return how many were queued.
        """

    async def queue_one(self, on: Statements, id: UUID, kind: str, address: str) -> None:
        """Queue the artifact of the row ``id``, at this decrypted address."""

    async def queue_sessions(
        self, on: Statements, owners: Sequence[UUID], sessions: Sequence[UUID]
    ) -> int:
        """Queue what is kept of these sessions, each with its owner; return how many."""


class EncryptedRow(NamedTuple):
    """The row of sensitive values, to which their encryption binds them."""

    table: str
    user_id: UUID
    row_id: UUID


class FieldCipher(Protocol):
    """Encrypts sensitive values, each with the key of the person it belongs to."""

    async def encrypt(self, row: EncryptedRow, values: Mapping[str, str]) -> dict[str, str]:
        """Return the values as they are stored; create the person's key if there is none."""

    async def decrypt(self, row: EncryptedRow, values: Mapping[str, str]) -> dict[str, str]:
        """Return the plain values; one that is not encrypted is refused."""

    async def has_key(self, user_id: UUID) -> bool:
        """Return whether this person has a key."""

    async def prefetch(self, user_ids: Iterable[UUID]) -> None:
        """Load the keys of these people, before many rows of theirs are decrypted.

        A key that cannot be read is left out: ``decrypt`` says why.
        """
