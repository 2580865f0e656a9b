"""What a twin knows: documents, found by what they say and worked on one at a time."""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any
from uuid import UUID

from typing_extensions import Unpack

from digitwin.kernel.execution.core import Core, operation, streaming
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.validation import validate
from digitwin.kernel.repository.paging import Page
from digitwin.kernel.repository.ports import CacheForgetter
from digitwin.knowledge.fields import (
    CHANGES,
    FILTERS,
    NEW,
    SETTLED,
    DocumentChanges,
    DocumentFilters,
    NewDocument,
    NewDocumentRow,
    check_step,
    digest,
)
from digitwin.knowledge.models import KnowledgeDocument
from digitwin.knowledge.processing import DocumentProcessing
from digitwin.knowledge.results import DocumentStatistics
from digitwin.knowledge.search import DocumentSearch
from digitwin.knowledge.statements import statement


class KnowledgeDocumentRepository(DocumentSearch, DocumentProcessing):
    """Documents of the twins' owners.

    Fields: ``user_id``, ``title`` (up to 500 characters), ``content`` (up to 10,000,000, and
    no more different words than PostgreSQL's full-text search can hold, 1 MiB of them),
    ``content_type``, ``source_uri``, ``content_hash`` (SHA-256 of the content unless given),
    ``visibility`` (owner, visitors), ``status`` (pending, processing, ready, failed),
    ``metadata``.

    Whatever changes what a search would find forgets the person's cached searches in the same
    transaction.
    """

    model, noun = KnowledgeDocument, "document"
    new, changes, filters = NEW, SETTLED, FILTERS

    def __init__(self, core: Core, *, scope: UUID | None = None, cache: CacheForgetter) -> None:
        super().__init__(core, scope=scope)
        self._cache = cache

    @operation
    async def create(
        self, *, id: UUID | str | None = None, **fields: Unpack[NewDocument]
    ) -> KnowledgeDocument:
        """Store a document, which can be found at once; atomic.

        Args:
            id: a UUID made by the caller, which makes trying again safe.

        Raises:
            InvalidInputError: names the field that is missing, unknown or out of bounds.
            NotFoundError: the user is missing or deleted.
            AlreadyExistsError: the id is taken.
        """
        async with self._core.transaction():
            document = await self._create(id, fields)
            await self._cache.forget_searches(document.user_id)
        return document

    @operation
    async def create_many(self, rows: Iterable[NewDocumentRow]) -> builtins.list[KnowledgeDocument]:
        """Store documents, of one or more people, all or none; in the order given.

        Raises:
            As :meth:`create`.
        """
        async with self._core.transaction():
            documents = await self._create_many(rows)
            for owner in sorted({document.user_id for document in documents}):
                await self._cache.forget_searches(owner)
        return documents

    @operation
    async def list(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        include_deleted: bool = False,
        **filters: Unpack[DocumentFilters],
    ) -> Page[KnowledgeDocument]:
        """A page of documents, oldest first.

        Args:
            limit: how many, 1 to 1,000.
            after: the ``next_cursor`` of the page before.

        Raises:
            InvalidInputError: a limit, cursor or filter that does not fit.
        """
        return await self._list(filters, limit=limit, after=after, include_deleted=include_deleted)

    @streaming
    def stream(
        self, *, include_deleted: bool = False, **filters: Unpack[DocumentFilters]
    ) -> AsyncGenerator[KnowledgeDocument, None]:
        """Every document that fits, oldest first, in constant memory; holds one connection."""
        return self._stream(filters, include_deleted=include_deleted)

    @operation
    async def count(
        self, *, include_deleted: bool = False, **filters: Unpack[DocumentFilters]
    ) -> int:
        """How many documents fit."""
        return await self._count(filters, include_deleted=include_deleted)

    @operation
    async def exists(
        self, *, include_deleted: bool = False, **filters: Unpack[DocumentFilters]
    ) -> bool:
        """Whether any document fits."""
        return await self._exists(filters, include_deleted=include_deleted)

    @operation
    async def update(
        self,
        id: UUID | str,
        *,
        expected_version: int | None = None,
        **changes: Unpack[DocumentChanges],
    ) -> KnowledgeDocument:
        """Change some fields; atomic.

        New content is hashed anew, and waits to be processed anew unless a status is given
        with it. A change of status or content takes the document from the worker that holds
        it; a status set to ``processing`` by hand has no lease, and nobody claims it.

        Raises:
            NotFoundError: there is no such document for this caller.
            StaleVersionError: it is not at ``expected_version``.
            InvalidStateError: an impossible change of status.
            InvalidInputError: names the field that does not fit.
        """
        given = validate(CHANGES, changes)
        async with self._core.transaction():
            current = await self._lock(id)
            settled = _settled(current, given)
            document = await self._update(id, settled, expected_version)
            await self._cache.forget_searches(document.user_id)
        return document

    @operation
    async def delete(self, id: UUID | str, *, reason: str | None = None) -> None:
        """Hide a document until ``restore``; atomic. No search finds it any more.

        Args:
            reason: why, as the deletion's event says it; at most 500 characters.

        Raises:
            NotFoundError: there is none for this caller, or it is deleted already.
            InvalidInputError: ``reason`` does not fit.
        """
        async with self._core.transaction():
            document = await self._hide(id, reason)
            await self._cache.forget_searches(document.user_id)

    @operation
    async def restore(self, id: UUID | str) -> KnowledgeDocument:
        """Take a deletion back; atomic.

        Raises:
            NotFoundError: there is none for this caller, it is not deleted, or its deletion is
                final.
            InvalidStateError: its owner is deleted.
        """
        async with self._core.transaction():
            document = await self._show(id)
            await self._cache.forget_searches(document.user_id)
        return document

    @operation
    async def hard_delete(self, id: UUID | str) -> None:
        """Remove a document for good, alive or deleted; atomic, and nothing brings it back.

        Raises:
            NotFoundError: there is none for this caller.
        """
        async with self._core.transaction():
            document = await self._get(id, None, include_deleted=True)
            await super().hard_delete(id)
            await self._cache.forget_searches(document.user_id)

    @operation
    async def statistics(self, user_id: UUID | str | None = None) -> DocumentStatistics:
        """Number and size of documents, of one person or of everybody.

        Raises:
            InvalidInputError: ``user_id`` is not a UUID.
        """
        owner = self._owner(user_id)
        return DocumentStatistics.of(
            await self._core.db.fetch(*statement("statistics", owner=owner))
        )

    async def _lock(self, id: UUID | str) -> KnowledgeDocument:
        record = await self._core.db.fetchrow(*statement("lock", parse_id(id), owner=self._scope))
        if record is None:
            raise self._missing(id)
        return self._row(record)

    def _new_row(self, id: object, fields: Mapping[str, Any]) -> dict[str, Any]:
        row = super()._new_row(id, fields)
        return {**row, "content_hash": row.get("content_hash") or digest(row["content"])}


def _settled(current: KnowledgeDocument, given: DocumentChanges) -> dict[str, Any]:
    """The changes, with what follows from them for hash, status and lease."""
    settled: dict[str, Any] = dict(given)
    content = given.get("content", current.content)
    if "content" in given:
        settled.setdefault("content_hash", digest(content))
    rewritten = content != current.content
    status = given.get("status", "pending" if rewritten else current.status)
    if "status" in given:
        check_step(current.status, status)
    if rewritten or status != current.status:
        settled |= {"status": status, "worker": None, "lease_until": None, "error": None}
    if status == "pending" != current.status:
        settled["attempts"] = 0
    return settled
