"""Wrapped keys in a table of their own, ``user_keys``.

It protects against whoever reads the database and has no master key. A dump without it
(``pg_dump --exclude-table-data='*.user_keys'``) forgets whom it is to forget: without the
keys, nobody reads sensitive fields out of it, the master key's holder included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from digitwin.errors import KeyUnavailableError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.kernel.sql.queries import load
from digitwin.keys.ports import StoredKey

_SQL = load(__package__)
_TRIES = 5


class TableKeyStore:
    """Keys beside the data, in statements that commit by themselves."""

    def __init__(self, core: Core) -> None:
        self._db = core.aside

    async def get(self, user_ids: Sequence[UUID]) -> Mapping[UUID, StoredKey]:
        """One index look-up for each."""
        rows = await self._db.fetch(_SQL["get"], list(user_ids))
        return {row["user_id"]: StoredKey(*row) for row in rows}

    async def put_if_absent(self, key: StoredKey) -> StoredKey:
        """The table's key decides who was first."""
        for _ in range(_TRIES):
            await self._db.execute(_SQL["put_if_absent"], key.user_id, key.key_id, key.wrapped)
            kept = (await self.get([key.user_id])).get(key.user_id)
            if kept is not None:
                return kept
        raise KeyUnavailableError(
            "The person's key is destroyed as fast as it is made", user_id=str(key.user_id)
        )

    async def replace(self, old: StoredKey, new: StoredKey) -> bool:
        """One compare-and-set."""
        tag = await self._db.execute(
            _SQL["replace"], old.user_id, old.wrapped, new.key_id, new.wrapped
        )
        return tag == "UPDATE 1"

    async def destroy(self, user_id: UUID) -> bool:
        """The row is gone; its page is until the next vacuum, as with every row."""
        return await self._db.execute(_SQL["destroy"], user_id) == "DELETE 1"

    async def page(self, after: UUID | None, limit: int) -> Sequence[StoredKey]:
        """In the order of the ids."""
        rows = await self._db.fetch(_SQL["page"], after or NOBODY, limit)
        return [StoredKey(*row) for row in rows]
