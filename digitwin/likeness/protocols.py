"""What a repository of voice or face models offers, for a fake to put in its place."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol, TypeAlias, TypeVar
from uuid import UUID

from typing_extensions import Unpack

from digitwin.kernel.repository.paging import Page
from digitwin.likeness.fields import ModelChanges, ModelFilters, NewModel, NewModelRow
from digitwin.likeness.models import FaceModel, VoiceModel

M = TypeVar("M")


class LikenessModels(Protocol[M]):
    """See :class:`~digitwin.likeness.repository.LikenessRepository` for what each one promises."""

    async def create(self, *, id: UUID | str | None = None, **fields: Unpack[NewModel]) -> M: ...

    async def create_many(self, rows: Sequence[NewModelRow]) -> list[M]: ...

    async def get(
        self, id: UUID | str, *, user_id: UUID | str | None = None, include_deleted: bool = False
    ) -> M: ...

    async def find(
        self, id: UUID | str, *, user_id: UUID | str | None = None, include_deleted: bool = False
    ) -> M | None: ...

    async def list(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        include_deleted: bool = False,
        **filters: Unpack[ModelFilters],
    ) -> Page[M]: ...

    def stream(
        self, *, include_deleted: bool = False, **filters: Unpack[ModelFilters]
    ) -> AsyncGenerator[M, None]: ...

    async def count(
        self, *, include_deleted: bool = False, **filters: Unpack[ModelFilters]
    ) -> int: ...

    async def exists(
        self, *, include_deleted: bool = False, **filters: Unpack[ModelFilters]
    ) -> bool: ...

    async def update(
        self,
        id: UUID | str,
        *,
        expected_version: int | None = None,
        **changes: Unpack[ModelChanges],
    ) -> M: ...

    async def delete(self, id: UUID | str, *, reason: str | None = None) -> None: ...

    async def restore(self, id: UUID | str) -> M: ...

    async def hard_delete(self, id: UUID | str) -> None: ...

    async def activate(self, id: UUID | str) -> M: ...

    async def deactivate(self, id: UUID | str) -> M: ...

    async def active_for(self, user_id: UUID | str | None = None) -> M | None: ...


VoiceModels: TypeAlias = LikenessModels[VoiceModel]
FaceModels: TypeAlias = LikenessModels[FaceModel]
