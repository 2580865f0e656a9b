"""Documents: stored, searched, and processed by workers."""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any
from uuid import UUID

from typing_extensions import Unpack

from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.operations import operation, streaming
from digitwin.kernel.orm.active_handle import Found
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.validation import validate
from digitwin.kernel.repository.paging import Page
from digitwin.kernel.repository.ports import CacheForgetter
from digitwin.knowledge.fields import (
    CHANGES,
    FILTERS,
    NEW,
    RESULTING_CHANGES,
    DocumentChanges,
    DocumentFilters,
    NewDocument,
    NewDocumentRow,
    check_transition,
    digest,
)
from digitwin.knowledge.models import KnowledgeDocument
from digitwin.knowledge.processing import DocumentProcessing
from digitwin.knowledge.queries import for_document, for_owner
from digitwin.knowledge.results import DocumentStatistics
from digitwin.knowledge.search import DocumentSearch


class KnowledgeDocumentRepository(DocumentSearch, DocumentProcessing):
    """The documents of a twin's owner.

    Fields: ``user_id``, ``title`` (up to 500 characters), ``content`` (up to 10,000,000; its
    different words up to 1 MiB, the limit of a ``tsvector``), ``content_type``, ``source_uri``,
    ``content_hash`` (SHA-256 of the content unless given), ``visibility`` (owner, visitors),
    ``status`` (pending, processing, ready, failed), ``metadata``.

    A change that can affect search results also invalidates the owner's cached searches, in the
    same transaction.
    """

    model, noun = KnowledgeDocument, "document"
    new, changes, filters = NEW, RESULTING_CHANGES, FILTERS

    def __init__(self, core: Core, *, scope: UUID | None = None, cache: CacheForgetter) -> None:
        super().__init__(core, scope=scope)
        self._cache = cache

    @operation
    async def create(
        self, *, id: UUID | str | None = None, **fields: Unpack[NewDocument]
    ) -> KnowledgeDocument:
        """Store a document; atomic. Searches find it immediately.

        Args:
            id: a UUID made by the caller, which makes a retry safe.
            **fields: see :class:`NewDocument`.

        Returns:
            The document, ``pending`` unless another status is given.

        Raises:
            InvalidInputError: names the field that is missing, unknown or out of bounds.
            NotFoundError: the owner is missing or deleted.
            AlreadyExistsError: the id is taken.
        """
        async with self._core.transaction():
            document = await self._create(id, fields)
            await self._cache.forget_searches(document.user_id)
        return document

    @operation
    async def create_many(self, rows: Iterable[NewDocumentRow]) -> builtins.list[KnowledgeDocument]:
        """Store documents of one or several owners, all or none.

        Returns:
            The documents, in the given order.

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
        """Return a page of documents, oldest first.

        Args:
            limit: documents per page, 1 to 1,000.
            after: the ``next_cursor`` of the previous page.
            include_deleted: include soft-deleted documents.
            **filters: see :class:`DocumentFilters`.

        Raises:
            InvalidInputError: names the invalid argument or filter.
        """
        return await self._list(filters, limit=limit, after=after, include_deleted=include_deleted)

    @streaming
    def stream(
        self, *, include_deleted: bool = False, **filters: Unpack[DocumentFilters]
    ) -> AsyncGenerator[KnowledgeDocument, None]:
        """Yield all matching documents, oldest first, from a server-side cursor.

        Memory stays constant; one connection is held until the end.
        """
        return self._stream(filters, include_deleted=include_deleted)

    @operation
    async def count(
        self, *, include_deleted: bool = False, **filters: Unpack[DocumentFilters]
    ) -> int:
        """Return the number of matching documents."""
        return await self._count(filters, include_deleted=include_deleted)

    @operation
    async def exists(
        self, *, include_deleted: bool = False, **filters: Unpack[DocumentFilters]
    ) -> bool:
        """Return whether any document matches."""
        return await self._exists(filters, include_deleted=include_deleted)

    @operation
    async def update(
        self,
        id: UUID | str,
        *,
        expected_version: int | None = None,
        **changes: Unpack[DocumentChanges],
    ) -> KnowledgeDocument:
        """Change fields of a document; atomic.

        New content is hashed again and sets the status to ``pending``, unless a status is given
        with it. A change of status or content takes the document from its worker. The status
        ``processing`` set here has no lease, so that no worker claims the document.

        Args:
            expected_version: fail unless the document has this version.
            **changes: see :class:`DocumentChanges`.

        Returns:
            The document as it is now.

        Raises:
            NotFoundError: the document does not exist, or not for this owner.
            StaleVersionError: the document does not have ``expected_version``.
            InvalidStateError: the change of status is not allowed.
            InvalidInputError: names the invalid field.
        """
        given = validate(CHANGES, changes)
        async with self._core.transaction():
            changes_to_store = _resulting_changes(*await self._lock(id), given)
            document = await self._update(id, changes_to_store, expected_version)
            await self._cache.forget_searches(document.user_id)
        return document

    @operation
    async def delete(self, id: UUID | str, *, reason: str | None = None) -> None:
        """Soft-delete a document, which hides it from reads and searches; atomic.

        Args:
            reason: stored with the deletion, up to 500 characters.

        Raises:
            NotFoundError: the document does not exist, not for this owner, or is deleted.
            InvalidInputError: ``reason`` is invalid.
        """
        async with self._core.transaction():
            document = await self._delete(id, reason)
            await self._cache.forget_searches(document.user_id)

    @operation
    async def restore(self, id: UUID | str) -> KnowledgeDocument:
        """Restore a soft-deleted document, with those deleted together with it; atomic.

        Returns:
            The document as it is now.

        Raises:
            NotFoundError: the document does not exist, not for this owner, is not deleted, or
                its deletion is final.
            InvalidStateError: its owner is deleted.
        """
        async with self._core.transaction():
            document = await self._restore(id)
            await self._cache.forget_searches(document.user_id)
        return document

    @operation
    async def hard_delete(self, id: UUID | str) -> None:
        """Delete a document permanently, soft-deleted or not; atomic.

        Raises:
            NotFoundError: the document does not exist, or not for this owner.
        """
        async with self._core.transaction():
            document = await self._get(id, None, include_deleted=True)
            await super().hard_delete(id)
            await self._cache.forget_searches(document.user_id)

    @operation
    async def statistics(self, user_id: UUID | str | None = None) -> DocumentStatistics:
        """Return counts and size of the documents.

        Args:
            user_id: only this owner's documents; if unset, those of the scope, else all.

        Raises:
            InvalidInputError: ``user_id`` is not a UUID.
        """
        owner = self._owner(user_id)
        groups = await self._core.db.fetch(for_owner("statistics", owner), user_id=owner)
        return DocumentStatistics.from_records(groups)

    async def _hide(self, found: builtins.list[Found], events: Mapping[UUID, UUID]) -> int:
        hidden = await super()._hide(found, events)
        for owner in sorted({row.user_id for row in found}):
            await self._cache.forget_searches(owner)
        return hidden

    async def _lock(self, id: UUID | str) -> tuple[KnowledgeDocument, bool]:
        """Return the document, and whether its lease was made while the clock was ahead."""
        record = await self._core.db.fetchrow(
            for_document("lock", self._scope), id=parse_id(id), user_id=self._scope
        )
        if record is None:
            raise self._missing(id)
        return self._row(record), record["is_ahead"] is True

    def _new_row(self, id: object, fields: Mapping[str, Any]) -> dict[str, Any]:
        row = super()._new_row(id, fields)
        return {**row, "content_hash": row.get("content_hash") or digest(row["content"])}


_NO_LEASE = {"worker": None, "lease_token": None, "lease_until": None}


def _resulting_changes(
    current: KnowledgeDocument, is_ahead: bool, given: DocumentChanges
) -> dict[str, Any]:
    """Add to the given changes what they imply for hash, status and lease."""
    changes: dict[str, Any] = dict(given)
    content = given.get("content", current.content)
    if "content" in given:
        changes.setdefault("content_hash", digest(content))
    is_rewritten = content != current.content
    status = given.get("status", "pending" if is_rewritten else current.status)
    if "status" in given:
        check_transition(current.status, status)
    if is_rewritten or status != current.status:
        changes |= {"status": status, "error": None, **_NO_LEASE}
    elif is_ahead:
        changes |= {"status": "pending", **_NO_LEASE}  # as claim would take it over; it counts
    if status == "pending" != current.status:
        changes["attempts"] = 0
    return changes
