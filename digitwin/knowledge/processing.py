"""Documents as work: claimed by one worker at a time, for as long as its lease holds."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from digitwin.errors import DigiTwinError, InvalidStateError
from digitwin.kernel.execution.core import operation
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.validation import seconds, validate
from digitwin.kernel.repository.entities import SoftDeleteRepository
from digitwin.knowledge.fields import FAILURE, WORKER
from digitwin.knowledge.models import KnowledgeDocument
from digitwin.knowledge.statements import statement

SHORTEST_LEASE: Final = 0.001
LONGEST_LEASE: Final = 7 * 86_400


class DocumentProcessing(SoftDeleteRepository[KnowledgeDocument]):
    """The queue of documents that wait for a worker."""

    @operation
    async def claim(
        self, *, worker: str, lease_seconds: float | timedelta
    ) -> KnowledgeDocument | None:
        """Take the oldest document that waits, or whose worker's lease has passed; atomic.

        No two workers ever hold one document, and none waits for another. The document comes
        back ``processing``, with ``attempts`` counted up; None when nothing waits. Under
        ``for_user``, that person's documents alone.

        Args:
            worker: the caller's name, different for each process; up to 200 characters.
            lease_seconds: how long it is the caller's alone, by the database clock; 1 ms to
                7 days. After that another worker may take it over.

        Raises:
            InvalidInputError: a name or a lease out of bounds.
        """
        name = validate(WORKER, {"worker": worker})["worker"]
        lease = seconds(
            lease_seconds, "lease_seconds", at_least=SHORTEST_LEASE, at_most=LONGEST_LEASE
        )
        record = await self._core.db.fetchrow(
            *statement("claim", name, lease, owner=self._scope, verb="claim")
        )
        return None if record is None else self._row(record)

    @operation
    async def complete(self, id: UUID | str, *, worker: str) -> KnowledgeDocument:
        """Mark a claimed document as ready, and give it back; atomic.

        Raises:
            NotFoundError: there is no such document for this caller, or it was deleted.
            InvalidStateError: it is not the worker's: the lease has passed, another worker has
                it, it was called back by ``update``, or it is finished already.
            InvalidInputError: a name out of bounds.
        """
        name = validate(WORKER, {"worker": worker})["worker"]
        return await self._finish("complete", id, name, "ready", None)

    @operation
    async def fail(self, id: UUID | str, error: str, *, worker: str) -> KnowledgeDocument:
        """Mark a claimed document as failed, and give it back; atomic.

        It waits for nobody any more: ``update(id, status="pending")`` lets it be claimed again.

        Args:
            error: why, up to 2,000 characters; kept as the document's ``error``.

        Raises:
            As :meth:`complete`.
        """
        given = validate(FAILURE, {"error": error, "worker": worker})
        return await self._finish("fail", id, given["worker"], "failed", given["error"])

    async def _finish(
        self, verb: str, id: UUID | str, worker: str, status: str, error: str | None
    ) -> KnowledgeDocument:
        record = await self._core.db.fetchrow(
            *statement("finish", parse_id(id), worker, status, error, owner=self._scope, verb=verb),
        )
        if record is None:
            raise await self._refusal(id, worker)
        return self._row(record)

    async def _refusal(self, id: UUID | str, worker: str) -> DigiTwinError:
        document = await self._find(id, None)
        if document is None:
            return self._missing(id)
        held = document.status == "processing" and document.worker == worker
        return InvalidStateError(
            f"{worker} does not hold this document: "
            + ("its lease has passed" if held else f"it is {document.status}"),
            id=str(id),
            status=document.status,
            worker=document.worker,
        )
