"""What the repositories of rows have in common."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol, TypeAlias, TypeVar
from uuid import UUID

Id: TypeAlias = UUID | str
Seconds: TypeAlias = float | timedelta

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
In_contra = TypeVar("In_contra", contravariant=True)


class Reads(Protocol[T_co]):
    """Reads one row by its id."""

    async def get(self, id: Id, *, user_id: Id | None = None) -> T_co: ...
    async def find(self, id: Id, *, user_id: Id | None = None) -> T_co | None: ...


class CreatesMany(Protocol[T, In_contra]):
    """Creates rows, all or none."""

    async def create_many(self, rows: Sequence[In_contra]) -> list[T]: ...


class SoftDeletes(Reads[T_co], Protocol[T_co]):
    """Reads a row, hides it, restores it, and removes it for good."""

    async def get(
        self, id: Id, *, user_id: Id | None = None, include_deleted: bool = False
    ) -> T_co: ...
    async def find(
        self, id: Id, *, user_id: Id | None = None, include_deleted: bool = False
    ) -> T_co | None: ...
    async def delete(self, id: Id, *, reason: str | None = None) -> None: ...
    async def restore(self, id: Id) -> T_co: ...
    async def hard_delete(self, id: Id) -> None: ...
