"""A queryset's soft ``delete()``: its repository deletes what it finds, as one deletion."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from tortoise.queryset import QuerySet

from digitwin.kernel.orm import active_handle
from digitwin.kernel.orm.active_handle import Found
from digitwin.kernel.orm.orm_errors import translated_errors


class SoftDeleteQuery:
    """Awaitable that deletes the rows as their repository would, and returns how many."""

    def __init__(self, rows: QuerySet[Any]) -> None:
        self._rows = rows

    def __await__(self) -> Generator[Any, None, int]:
        with translated_errors():
            return (yield from self._delete().__await__())

    async def _delete(self) -> int:
        client: Any = self._rows._db or active_handle.client()
        model = self._rows.model
        rows = self._rows.using_db(client).filter(deleted_at__isnull=True)
        rows._fields_for_select = ()  # of an only(), which values_list() refuses
        # A user is its own owner
        owner = "user_id" if "user_id" in model._meta.fields_map else "id"

        async def find(most: int, deleted: int) -> list[Found]:
            limit = most if rows._limit is None else min(most, rows._limit - deleted)
            if not limit:
                return []
            found = await rows.limit(limit).values_list(owner, "id", "version")
            return [Found(*row) for row in dict.fromkeys(found)]

        async with client._in_transaction():
            count: int = await client.delete_found(model, find)
        return count
