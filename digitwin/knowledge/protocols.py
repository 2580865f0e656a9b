"""What the repository of documents offers, for a fake to put in its place."""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, Iterable
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from typing_extensions import Unpack

from digitwin.kernel.repository.paging import Page
from digitwin.knowledge.fields import (
    Audience,
    DocumentChanges,
    DocumentFilters,
    NewDocument,
    NewDocumentRow,
)
from digitwin.knowledge.models import KnowledgeDocument
from digitwin.knowledge.results import DocumentStatistics, SearchHit


class KnowledgeDocuments(Protocol):
    """See :class:`~digitwin.knowledge.repository.KnowledgeDocumentRepository` for the promises."""

    async def create(
        self, *, id: UUID | str | None = None, **fields: Unpack[NewDocument]
    ) -> KnowledgeDocument: ...

    async def create_many(
        self, rows: Iterable[NewDocumentRow]
    ) -> builtins.list[KnowledgeDocument]: ...

    async def get(
        self, id: UUID | str, *, user_id: UUID | str | None = None, include_deleted: bool = False
    ) -> KnowledgeDocument: ...

    async def find(
        self, id: UUID | str, *, user_id: UUID | str | None = None, include_deleted: bool = False
    ) -> KnowledgeDocument | None: ...

    async def search(
        self,
        query: str,
        *,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
        limit: int = 10,
    ) -> builtins.list[SearchHit]: ...

    async def list(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        include_deleted: bool = False,
        **filters: Unpack[DocumentFilters],
    ) -> Page[KnowledgeDocument]: ...

    def stream(
        self, *, include_deleted: bool = False, **filters: Unpack[DocumentFilters]
    ) -> AsyncGenerator[KnowledgeDocument, None]: ...

    async def count(
        self, *, include_deleted: bool = False, **filters: Unpack[DocumentFilters]
    ) -> int: ...

    async def exists(
        self, *, include_deleted: bool = False, **filters: Unpack[DocumentFilters]
    ) -> bool: ...

    async def update(
        self,
        id: UUID | str,
        *,
        expected_version: int | None = None,
        **changes: Unpack[DocumentChanges],
    ) -> KnowledgeDocument: ...

    async def delete(self, id: UUID | str, *, reason: str | None = None) -> None: ...

    async def restore(self, id: UUID | str) -> KnowledgeDocument: ...

    async def hard_delete(self, id: UUID | str) -> None: ...

    async def claim(
        self, *, worker: str, lease_seconds: float | timedelta
    ) -> KnowledgeDocument | None: ...

    async def complete(self, id: UUID | str, *, worker: str) -> KnowledgeDocument: ...

    async def fail(self, id: UUID | str, error: str, *, worker: str) -> KnowledgeDocument: ...

    async def statistics(self, user_id: UUID | str | None = None) -> DocumentStatistics: ...
