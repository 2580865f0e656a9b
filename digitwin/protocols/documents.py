"""Knowledge documents: search, and the queue of their workers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol, Unpack

from digitwin.kernel.repository.paging import Page
from digitwin.knowledge.fields import (
    Audience,
    DocumentChanges,
    DocumentFilters,
    NewDocument,
    NewDocumentRow,
)
from digitwin.knowledge.leases import Lease
from digitwin.knowledge.results import DocumentStatistics, SearchHit
from digitwin.models import (
    KnowledgeDocument,
)
from digitwin.protocols.entities import CreatesMany, Id, Seconds, SoftDeletes


class SearchableDocuments(Protocol):
    """Full-text search over one person's documents."""

    async def search(
        self,
        query: str,
        *,
        user_id: Id | None = None,
        audience: Audience = "owner",
        limit: int = 10,
    ) -> list[SearchHit]: ...


class DocumentQueue(Protocol):
    """The queue of documents that wait for a worker."""

    async def claim(
        self, *, worker: str, lease_seconds: Seconds, max_attempts: int | None = None
    ) -> Lease | None: ...
    async def complete(self, lease: Lease) -> KnowledgeDocument: ...
    async def fail(self, lease: Lease, error: str) -> KnowledgeDocument: ...
    async def renew(self, lease: Lease, lease_seconds: Seconds | None = None) -> Lease: ...
    async def retry(self, id: Id) -> KnowledgeDocument: ...


class KnowledgeDocuments(
    SearchableDocuments,
    DocumentQueue,
    CreatesMany[KnowledgeDocument, NewDocumentRow],
    SoftDeletes[KnowledgeDocument],
    Protocol,
):
    """``db.documents``: see :class:`~digitwin.knowledge.repository.KnowledgeDocumentRepository`."""

    async def create(
        self, *, id: Id | None = None, **fields: Unpack[NewDocument]
    ) -> KnowledgeDocument: ...
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
        self, id: Id, *, expected_version: int | None = None, **changes: Unpack[DocumentChanges]
    ) -> KnowledgeDocument: ...
    async def statistics(self, user_id: Id | None = None) -> DocumentStatistics: ...
