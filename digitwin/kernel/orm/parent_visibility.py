"""Rows that are hidden with another: a turn with its session, a participant with their owner."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from tortoise.models import Model

from digitwin.errors import NotFoundError


class Shelter(NamedTuple):
    """The row of another table whose deletion hides this one, too."""

    table: str
    noun: str
    keys: dict[str, str]
    """Columns of the sheltering table, each with the one that holds its value here."""

    def stands(self, row: str) -> str:
        """The condition that the sheltering row is alive, for a table by the name ``row``."""
        keys = [f'shelter."{there}" = "{row}"."{here}"' for there, here in self.keys.items()]
        return (
            f'EXISTS (SELECT 1 FROM "{self.table}" AS shelter'
            f" WHERE {' AND '.join(keys)} AND shelter.deleted_at IS NULL)"
        )

    def held(self) -> str:
        """The sheltering row, kept from being deleted until the transaction ends."""
        keys = [f'"{there}" = ${n}' for n, there in enumerate(self.keys, 1)]
        return (
            f'SELECT 1 FROM "{self.table}" WHERE {" AND ".join(keys)} AND deleted_at IS NULL'
            " FOR SHARE"
        )


def shelter_of(model: type[Model]) -> Shelter | None:
    """What hides this model's rows along with itself, if anything does."""
    found: Shelter | None = getattr(model, "hidden_with", None)
    return found


@asynccontextmanager
async def under_shelter(client: Any, model: type[Model], rows: Iterable[Model]) -> Any:
    """Within, new rows are made: beside an open deletion none slips in.

    Raises:
        NotFoundError: what one would be hidden with is deleted, or not there.
    """
    shelter = shelter_of(model)
    if shelter is None:
        yield
        return
    held = {tuple(getattr(row, here) for here in shelter.keys.values()) for row in rows}
    async with client._in_transaction():
        for key in sorted(held, key=str):
            if not await client.execute_query_dict(shelter.held(), list(key)):
                field = list(shelter.keys.values())[-1]
                raise NotFoundError(f"{shelter.noun} not found", field=field)
        yield
