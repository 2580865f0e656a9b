"""Erasure of a person or a participant, ordered so that a crash between two steps is safe.

1. One transaction records that the erasure has begun, and queues the external artifacts to
   delete, their addresses encrypted with the service's key. None of them is due yet.
2. A second transaction locks the person's row and sessions, so that concurrent writers finish
   and no new ones start. It appends to the external ledger and destroys the person's key: from
   then on nothing encrypted can be read. Then it deletes the rows and records the receipt.

A crash before the ledger entry changes nothing. After it, the erasure remains recorded as begun;
erasing again, or a replay of the ledger, completes it. Erasing again what is erased returns the
receipt: a caller who lost the answer can always ask once more.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast
from uuid import UUID

from digitwin.audit.erasure import pseudonymise
from digitwin.audit.fields import Details
from digitwin.conversations.deletion import session_tag
from digitwin.errors import DigiTwinError, NotFoundError, OutcomeUnknownError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.primitives.validation import dumps
from digitwin.kernel.repository.cached_rows import forget_person
from digitwin.kernel.repository.ports import CacheForgetter
from digitwin.kernel.sql.actor import current as current_actor
from digitwin.kernel.sql.queries import Queries, Query
from digitwin.kernel.sql.tables import personal
from digitwin.privacy import participants, receipts
from digitwin.privacy.artifacts import Artifacts
from digitwin.privacy.batches import all_batches, erase_batch
from digitwin.privacy.ledger import Ledger, LedgerEntry
from digitwin.privacy.participants import Redaction
from digitwin.privacy.ports import Keys, Limits, Trail
from digitwin.privacy.receipts import ErasureReceipt
from digitwin.privacy.subjects import (
    Participant,
    ParticipantRef,
    SubjectKind,
    by_ref,
    hash_of_user,
)

log = logging.getLogger("digitwin.privacy")

QUERIES = Queries(__package__)


@cache
def is_known() -> Query:
    """Return the query that checks whether any table or the audit trail mentions a person."""
    conditions = (
        f"EXISTS (SELECT 1 FROM {table.name} WHERE {table.data.found_by})" for table in personal()
    )
    return QUERIES.variant("is_known", found=" OR ".join(conditions))


@dataclass(frozen=True, slots=True)
class Eraser:
    """Runs erasures across all domains."""

    core: Core
    keys: Keys
    cache: CacheForgetter
    limits: Limits
    trail: Trail
    artifacts: Artifacts
    ledger: Ledger | None

    async def user(self, person: UUID, reason: str) -> ErasureReceipt:
        """Erase a person and return the receipt.

        Once the erasure is committed, no error says that it could be tried again in vain.

        Raises:
            NotFoundError: no data about this person exists.
            OutcomeUnknownError: it is complete, or may be: erase again.
        """
        digest = hash_of_user(person)
        await self.limits.forget(person)
        erasure = await self._begin_user(person, digest, reason)
        async with self.core.transaction():
            on = self.core.db
            await on.fetchval(QUERIES["lock_subject"], subject_hash=digest)
            await on.fetchval(QUERIES["lock_person"], person=person)
            await on.fetchval(QUERIES["hold_participants_of"], person=person)
            await on.fetchval(QUERIES["lock_sessions"], person=person)
            if not await on.fetchval(is_known(), person=person):
                raise NotFoundError("user not found", id=str(person))
            await self.artifacts.queue(on, person, erasure=erasure)
            await self._append_to_ledger("user", digest, erasure)
            await self.keys.destroy(person)
            visits = by_ref(str(person), except_of=person)
            redacted = await participants.redact(
                on, visits, self.artifacts, keep_answers=False, erasure=erasure
            )
            counts = await self._remove(person)
            await self._complete("user", erasure, digest, counts, redacted, actor=person)
            receipt = await receipts.get(on, erasure)  # here: after the commit it could be lost
        self.artifacts.wake()
        await self.destroy_late_key(person)
        await self._forget_limits(person)
        return receipt

    async def destroy_late_key(self, person: UUID) -> None:
        """Destroy a key that was created while the erasure was running.

        Raises:
            OutcomeUnknownError: the key store failed; nothing else is left to do.
        """
        try:
            await self.keys.destroy(person)
        except DigiTwinError as error:
            raise OutcomeUnknownError(
                "The person is erased; whether a key was left is unknown: erase again",
                cause=error.code,
            ) from error

    async def _forget_limits(self, subject: UUID | str) -> None:
        """Drop what was counted while the erasure was running; maintenance removes its rows."""
        try:
            await self.limits.forget(subject)
        except DigiTwinError as error:
            log.warning("Late counts of an erased subject are left to maintenance: %s", error)

    async def participant(
        self, participant: Participant, digest: str, reason: str, *, keep_answers: bool
    ) -> ErasureReceipt:
        """Erase a participant from all twins they talked to and return the receipt.

        Raises:
            NotFoundError: no twin has this participant.
            InvalidStateError: they are named by an id, and have a ref.
        """
        ref = participant.ref if isinstance(participant, ParticipantRef) else None
        if ref is not None:
            await self.limits.forget(ref)
        async with self.core.transaction():
            on = self.core.db
            erasure = await self._begin(on, "participant", digest, reason)
            selected = await participants.find(on, participant)
            redacted = await participants.redact(
                on, selected, self.artifacts, keep_answers=keep_answers, erasure=erasure
            )
            if not redacted.owners:  # a concurrent erasure was faster
                raise NotFoundError("participant not found")
            await self._append_to_ledger("participant", digest, erasure)
            counts = {} if ref is None else await self._remove_by_name(ref)
            await self._complete("participant", erasure, digest, counts, redacted)
            receipt = await receipts.get(on, erasure)
        self.artifacts.wake()
        if ref is not None:
            await self._forget_limits(ref)
        return receipt

    async def _begin_user(self, person: UUID, digest: str, reason: str) -> UUID:
        async with self.core.transaction():
            on = self.core.db
            erasure = await self._begin(on, "user", digest, reason)
            if not await on.fetchval(is_known(), person=person):
                raise NotFoundError("user not found", id=str(person))
            await self.artifacts.queue(on, person, erasure=erasure)
        return erasure

    async def _begin(self, on: Statements, subject: SubjectKind, digest: str, reason: str) -> UUID:
        await on.fetchval(QUERIES["lock_subject"], subject_hash=digest)
        row: Any = await on.fetchrow(
            QUERIES["begin_erasure"],
            id=uuid7(),
            subject=subject,
            subject_hash=digest,
            reason=reason,
        )
        return cast(UUID, row["id"])

    async def _append_to_ledger(self, subject: SubjectKind, digest: str, erasure: UUID) -> None:
        if self.ledger is not None:
            await self.ledger.append(LedgerEntry(erasure, subject, digest, datetime.now(UTC)))

    async def _remove(self, person: UUID) -> dict[str, int]:
        """Delete the rows of every table; return the counts by table.

        Cache entries are deleted by the cache itself, just before the commit.
        """
        await forget_person(self.core.db, self.cache, person)
        await self.core.db.fetchval(QUERIES["allow_erasure"])
        counts: dict[str, int] = {}
        for table in personal():
            found_by = table.data.found_by
            if table.data.erasure == "rows":
                query = erase_batch(table, found_by)
                counts[table.name] = await all_batches(self.core.db, query, person=person)
            else:
                query = QUERIES.variant("count_held", table=table.name, found_by=found_by)
                counts[table.name] = await self.core.db.fetchval(query, person=person)
        await pseudonymise(self.core.db, person)
        return counts

    async def _remove_by_name(self, ref: str) -> dict[str, int]:
        """Delete the rows that hold only a participant's ref; return the counts by table."""
        return {
            table.name: await all_batches(
                self.core.db, erase_batch(table, table.data.by_name), ref=ref
            )
            for table in personal()
            if table.data.by_name is not None
        }

    async def _complete(
        self,
        subject: SubjectKind,
        erasure: UUID,
        digest: str,
        counts: dict[str, int],
        redacted: Redaction,
        actor: UUID | None = None,
    ) -> None:
        for owner in redacted.owners:  # cached responses may repeat what they asked
            await self.cache.forget_user(owner)
        if redacted.sessions:  # whoever stored what was made from them
            await self.cache.forget_tags([session_tag(id) for id in redacted.sessions])
        counts |= {name: counts.get(name, 0) + n for name, n in redacted.counts.items()}
        await self.core.db.execute(QUERIES["complete_erasure"], id=erasure, counts=dumps(counts))
        by_themselves = actor is not None and current_actor().actor_id == actor
        details: Details = {
            "resource_id": erasure,
            "metadata": {"subject_hash": digest, "counts": counts, "by_themselves": by_themselves},
        }
        if by_themselves:
            details |= {"actor_id": None, "ip_address": None, "user_agent": None}
        await self.trail.record(f"{subject}.erase", "erasure", **details)
