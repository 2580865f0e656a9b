"""A key store in a table, ``user_keys``.

Whoever reads the database without the master key cannot decrypt anything. A dump without this
table (``pg_dump --exclude-table-data='*.user_keys'``) contains no keys, so nobody can decrypt
sensitive fields in it, not even with the master key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from uuid import UUID

from digitwin.errors import ConfigurationError, KeyUnavailableError, ScopeRequiredError
from digitwin.kernel.connection.scopes import RETENTION
from digitwin.kernel.execution.core import Core
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.kernel.sql.queries import Queries
from digitwin.keys.ports import StoredKey

QUERIES = Queries(__package__)
_TRIES = 5


class TableKeyStore:
    """Keeps wrapped keys beside the data.

    Every statement commits by itself: if a rollback removed a key, values that another process
    had encrypted with it meanwhile would be lost.
    """

    def __init__(self, core: Core) -> None:
        self._db = core.aside

    async def get(self, user_ids: Sequence[UUID]) -> Mapping[UUID, StoredKey]:
        """Read one page of keys by the primary key."""
        rows = await self._db.fetch(QUERIES["get"], user_ids=list(user_ids))
        return {row["user_id"]: StoredKey(*row) for row in rows}

    async def put_if_absent(self, key: StoredKey) -> StoredKey:
        """Store a key if the person has none, and return the stored one."""
        for _ in range(_TRIES):
            await self._db.execute(QUERIES["put_if_absent"], **asdict(key))
            stored = (await self.get([key.user_id])).get(key.user_id)
            if stored is not None:
                return stored
        raise KeyUnavailableError(
            "The person's key was destroyed repeatedly while it was created",
            user_id=str(key.user_id),
        )

    async def replace(self, old: StoredKey, new: StoredKey) -> bool:
        """Compare and set."""
        with _needing_retention():
            tag = await self._db.execute(QUERIES["replace"], **asdict(new), old_wrapped=old.wrapped)
        return tag == "UPDATE 1"

    async def destroy(self, user_id: UUID) -> bool:
        """Delete the row; its bytes stay in the page until the next vacuum."""
        with _needing_retention():
            return await self._db.execute(QUERIES["destroy"], user_id=user_id) == "DELETE 1"

    async def page(self, after: UUID | None, limit: int) -> Sequence[StoredKey]:
        """Return a page in the order of the ids."""
        rows = await self._db.fetch(QUERIES["page"], after=after or NOBODY, limit=limit)
        return [StoredKey(*row) for row in rows]


@contextmanager
def _needing_retention() -> Iterator[None]:
    """Raise ConfigurationError if this login may neither replace nor destroy keys."""
    try:
        yield
    except ScopeRequiredError as refused:
        raise ConfigurationError(
            f"This login may neither replace nor destroy keys: use the owner of the tables, or a"
            f" member of {RETENTION}",
            field="role",
            role=RETENTION,
        ) from refused
