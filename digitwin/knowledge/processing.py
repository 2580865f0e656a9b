"""The processing queue: a worker claims a document for the duration of a lease."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from digitwin.errors import DigiTwinError, InvalidStateError
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.validation import bounded, validate
from digitwin.kernel.repository.soft_delete import SoftDeleteRepository
from digitwin.knowledge.fields import FAILURE, MOST_CLAIMS, WORKER
from digitwin.knowledge.leases import Lease, held_by, lease_seconds as checked_seconds
from digitwin.knowledge.models import KnowledgeDocument
from digitwin.knowledge.queries import for_document, for_owner


class DocumentProcessing(SoftDeleteRepository[KnowledgeDocument]):
    """The methods of the document repository that workers use."""

    @operation
    async def claim(
        self, *, worker: str, lease_seconds: float | timedelta, max_attempts: int | None = None
    ) -> Lease | None:
        """Lease the oldest document that is pending or whose lease has run out; atomic.

        No two workers hold the same document, and no worker waits for another. A document whose
        lease has run out ``max_attempts`` times becomes ``failed`` with an error that says so,
        and the next one is leased: it may be what kills its workers. Under ``for_user`` only that
        person's documents are claimed.

        Args:
            worker: a name for logs and the document's ``worker``, up to 200 characters.
            lease_seconds: how long the lease holds, 1 ms to 7 days, by the database clock;
                ``renew`` extends it, and after it another worker may claim the document.
            max_attempts: how often a document is leased, 1 to 1,000; the setting
                ``document_max_attempts`` unless given.

        Returns:
            The lease with its token and the document, ``processing`` and with ``attempts``
            incremented; None if nothing is claimable.

        Raises:
            InvalidInputError: names the invalid argument.
        """
        holds = checked_seconds(lease_seconds)
        values = {
            "worker": validate(WORKER, {"worker": worker})["worker"],
            "lease_seconds": holds,
            "max_attempts": self._core.settings.document_max_attempts
            if max_attempts is None
            else bounded(max_attempts, "max_attempts", at_least=1, at_most=MOST_CLAIMS),
            "user_id": self._scope,
        }
        query = for_owner("claim", self._scope)
        while record := await self._core.db.fetchrow(query, **values):
            document = self._row(record)
            if document.status == "processing":
                return Lease.of(document, record, holds)
        return None

    @operation
    async def complete(self, lease: Lease) -> KnowledgeDocument:
        """Mark a leased document as ready; atomic.

        Returns:
            The document as it is now.

        Raises:
            NotFoundError: the document does not exist, not for this owner, or is deleted.
            InvalidStateError: the lease is not valid any more: it has run out, the document was
                leased again, ``update`` released it, or it is already finished.
            InvalidInputError: ``lease`` is not a lease.
        """
        return await self._finish("complete", held_by(lease), "ready", None)

    @operation
    async def fail(self, lease: Lease, error: str) -> KnowledgeDocument:
        """Mark a leased document as failed; atomic.

        It is not claimed again until ``retry(id)``.

        Args:
            lease: what ``claim`` or ``renew`` returned.
            error: stored as the document's ``error``, up to 2,000 characters.

        Returns:
            The document as it is now.

        Raises:
            As :meth:`complete`.
        """
        given = validate(FAILURE, {"error": error})
        return await self._finish("fail", held_by(lease), "failed", given["error"])

    @operation
    async def renew(self, lease: Lease, lease_seconds: float | timedelta | None = None) -> Lease:
        """Let a lease hold for longer, from now on; atomic.

        The version of the document stays: a worker's sign of life makes no caller's update stale.
        Not recorded in the audit trail.

        Args:
            lease: what ``claim`` or ``renew`` returned.
            lease_seconds: 1 ms to 7 days; as long as at the claim unless given.

        Returns:
            The lease with its new end. The one given stays usable, as both have the same token.

        Raises:
            As :meth:`complete`.
        """
        held = held_by(lease)
        holds = checked_seconds(lease.seconds if lease_seconds is None else lease_seconds)
        record = await self._held("renew", held, lease_seconds=holds)
        return Lease.of(self._row(record), record, holds)

    @operation
    async def retry(self, id: UUID | str) -> KnowledgeDocument:
        """Make a failed document pending again, with no attempts counted; atomic.

        Returns:
            The document as it is now.

        Raises:
            NotFoundError: the document does not exist, not for this owner, or is deleted.
            InvalidStateError: it has not failed.
            InvalidInputError: ``id`` is not a UUID.
        """
        record = await self._core.db.fetchrow(
            for_document("retry", self._scope), id=parse_id(id), user_id=self._scope
        )
        if record is not None:
            return self._row(record)
        document = await self._get(id, None)
        raise InvalidStateError(
            f"Only a failed document can be retried: it is {document.status}",
            id=str(id),
            status=document.status,
        )

    async def _finish(
        self, verb: str, held: dict[str, Any], status: str, error: str | None
    ) -> KnowledgeDocument:
        return self._row(await self._held("finish", held, verb=verb, status=status, error=error))

    async def _held(
        self, name: str, held: dict[str, Any], *, verb: str = "", **values: object
    ) -> Any:
        """Run a statement that changes the document only while the lease is valid."""
        owner = held["user_id"] if self._scope is None else self._scope
        query = for_owner(name, owner, verb=verb)
        record = await self._core.db.fetchrow(query, **{**held, **values, "user_id": owner})
        if record is None:
            raise await self._not_held(held)
        return record

    async def _not_held(self, held: dict[str, Any]) -> DigiTwinError:
        document = await self._find(held["id"], None)
        if document is None:
            return self._missing(held["id"])
        if document.status != "processing":
            reason = f"the document is {document.status}"
        elif (document.lease_token, document.attempts) == (held["token"], held["attempt"]):
            reason = "it has run out"
        else:
            reason = "the document was leased again"
        return InvalidStateError(
            f"The lease is not valid any more: {reason}",
            id=str(held["id"]),
            status=document.status,
            worker=document.worker,
        )
