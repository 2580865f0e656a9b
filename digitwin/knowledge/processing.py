"""The processing queue: a worker claims a document for the duration of a lease."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from digitwin.errors import DigiTwinError, InvalidStateError
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.validation import seconds, validate
from digitwin.kernel.repository.soft_delete import SoftDeleteRepository
from digitwin.knowledge.fields import FAILURE, WORKER
from digitwin.knowledge.models import KnowledgeDocument
from digitwin.knowledge.queries import for_document, for_owner

SHORTEST_LEASE: Final = 0.001
LONGEST_LEASE: Final = 7 * 86_400


class DocumentProcessing(SoftDeleteRepository[KnowledgeDocument]):
    """The methods of the document repository that workers use."""

    @operation
    async def claim(
        self, *, worker: str, lease_seconds: float | timedelta
    ) -> KnowledgeDocument | None:
        """Claim the oldest document that is pending or whose lease has expired; atomic.

        No two workers hold the same document, and no worker waits for another. Under
        ``for_user`` only that person's documents are claimed.

        Args:
            worker: a name that is unique among processes, up to 200 characters.
            lease_seconds: how long the lease holds, 1 ms to 7 days, by the database clock;
                after it another worker may claim the document.

        Returns:
            The document, ``processing`` and with ``attempts`` incremented; None if nothing is
            claimable.

        Raises:
            InvalidInputError: names the invalid argument.
        """
        name = validate(WORKER, {"worker": worker})["worker"]
        lease = seconds(
            lease_seconds, "lease_seconds", at_least=SHORTEST_LEASE, at_most=LONGEST_LEASE
        )
        query = for_owner("claim", self._scope)
        record = await self._core.db.fetchrow(
            query, worker=name, lease_seconds=lease, user_id=self._scope
        )
        return None if record is None else self._row(record)

    @operation
    async def complete(self, id: UUID | str, *, worker: str) -> KnowledgeDocument:
        """Mark a claimed document as ready; atomic.

        Returns:
            The document as it is now.

        Raises:
            NotFoundError: the document does not exist, or not for this owner.
            InvalidStateError: the worker does not hold it: the lease has expired, another worker
                holds it, ``update`` released it, or it is already finished.
            InvalidInputError: names the invalid argument.
        """
        name = validate(WORKER, {"worker": worker})["worker"]
        return await self._finish("complete", id, name, "ready", None)

    @operation
    async def fail(self, id: UUID | str, error: str, *, worker: str) -> KnowledgeDocument:
        """Mark a claimed document as failed; atomic.

        It is not claimed again until ``update(id, status="pending")``.

        Args:
            error: stored as the document's ``error``, up to 2,000 characters.

        Returns:
            The document as it is now.

        Raises:
            As :meth:`complete`.
        """
        given = validate(FAILURE, {"error": error, "worker": worker})
        return await self._finish("fail", id, given["worker"], "failed", given["error"])

    async def _finish(
        self, verb: str, id: UUID | str, worker: str, status: str, error: str | None
    ) -> KnowledgeDocument:
        record = await self._core.db.fetchrow(
            for_document("finish", self._scope, verb=verb),
            id=parse_id(id),
            user_id=self._scope,
            worker=worker,
            status=status,
            error=error,
        )
        if record is None:
            raise await self._not_held(id, worker)
        return self._row(record)

    async def _not_held(self, id: UUID | str, worker: str) -> DigiTwinError:
        document = await self._find(id, None)
        if document is None:
            return self._missing(id)
        expired = document.status == "processing" and document.worker == worker
        reason = "its lease has expired" if expired else f"it is {document.status}"
        return InvalidStateError(
            f"The worker does not hold this document: {reason}",
            id=str(id),
            status=document.status,
            worker=document.worker,
        )
