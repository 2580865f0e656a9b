"""Rows without a deletion of their own: they are hidden while their parent is deleted.

A turn is hidden with its session, a participant with the owner.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from tortoise.models import Model

from digitwin.errors import NotFoundError


class ParentVisibility(NamedTuple):
    """The parent whose deletion hides a row."""

    table: str
    noun: str
    keys: dict[str, str]
    """Columns of the parent's table, each with the column of the child that refers to it."""

    def is_alive(self, row: str) -> str:
        """Return the condition that the parent of ``row``, a table or its alias, is alive."""
        keys = [f'parent."{there}" = "{row}"."{here}"' for there, here in self.keys.items()]
        return (
            f'EXISTS (SELECT 1 FROM "{self.table}" AS parent'
            f" WHERE {' AND '.join(keys)} AND parent.deleted_at IS NULL)"
        )

    def lock(self) -> str:
        """Return the statement that keeps a living parent alive until the transaction ends."""
        keys = [f'"{there}" = ${n}' for n, there in enumerate(self.keys, 1)]
        return (
            f'SELECT 1 FROM "{self.table}" WHERE {" AND ".join(keys)} AND deleted_at IS NULL'
            " FOR SHARE"
        )


def parent_of(model: type[Model]) -> ParentVisibility | None:
    """Return the parent that hides this model's rows, if they have one."""
    found: ParentVisibility | None = getattr(model, "hidden_with", None)
    return found


@asynccontextmanager
async def parents_locked(client: Any, model: type[Model], rows: Iterable[Model]) -> Any:
    """Insert these rows inside the block: their parents cannot be deleted meanwhile.

    Raises:
        NotFoundError: a parent is missing or deleted.
    """
    parent = parent_of(model)
    if parent is None:
        yield
        return
    keys = {tuple(getattr(row, here) for here in parent.keys.values()) for row in rows}
    async with client._in_transaction():
        for key in sorted(keys, key=str):  # in order, so that two callers do not deadlock
            if not await client.execute_query_dict(parent.lock(), list(key)):
                field = list(parent.keys.values())[-1]
                raise NotFoundError(f"{parent.noun} not found", field=field)
        yield
