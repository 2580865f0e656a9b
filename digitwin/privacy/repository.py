"""``db.privacy``: export and erasure of everything held about a person.

Both are rare. Their modules are imported by the methods, which keeps them out of every start.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from pydantic import TypeAdapter

from digitwin.conversations.participant import Kind
from digitwin.errors import InvalidInputError, InvalidStateError, NotFoundError
from digitwin.kernel.connection.scopes import FORGETTING
from digitwin.kernel.connection.transactions import Transaction
from digitwin.kernel.execution.across_people import across_people
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.operations import operation, streaming
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.validation import DEFERRED, bounded, line, validate
from digitwin.kernel.repository.paging import Page
from digitwin.kernel.repository.ports import CacheForgetter
from digitwin.kernel.sql.queries import Queries
from digitwin.privacy import receipts
from digitwin.privacy.artifacts import ArtifactDeleter, Artifacts
from digitwin.privacy.erasure_replay import ErasureReplay, ReplayReport
from digitwin.privacy.export import Export, ExportFile, ExportWriter
from digitwin.privacy.ledger import FileLedger, Ledger
from digitwin.privacy.ports import Keys, Limits, Trail
from digitwin.privacy.receipts import ErasureReceipt
from digitwin.privacy.scan import scan, search_terms
from digitwin.privacy.subjects import (
    Participant,
    ParticipantRef,
    by_ref,
    hash_of_participant,
    hash_of_user,
    participant_named,
)

if TYPE_CHECKING:
    from digitwin.privacy.erasure import Eraser

_REASON: TypeAdapter[str] = TypeAdapter(Annotated[str, line(500)], config=DEFERRED)
QUERIES = Queries(__package__)


class Privacy:
    """Export and erasure, for people and for participants.

    Both work across people and are recorded in the audit trail. If row security applies to this
    login, exports run as the database role ``digitwin_service`` and erasures as
    ``digitwin_retention``, which owns the audit trail.
    """

    def __init__(
        self,
        core: Core,
        *,
        keys: Keys,
        cache: CacheForgetter,
        limits: Limits,
        trail: Trail,
        ledger: Ledger | None = None,
        deleter: ArtifactDeleter | None = None,
    ) -> None:
        settings = core.settings
        if ledger is None and settings.erasure_ledger is not None:
            ledger = FileLedger(settings.erasure_ledger)
        pepper = settings.erasure_pepper
        self._pepper = None if pepper is None else pepper.get_secret_value()
        self._core = core
        self._keys = keys
        self._trail = trail
        self._ledger = ledger
        self.artifacts = Artifacts(core, keys, deleter)
        self.artifacts.wake()
        self._parts = keys, cache, limits, trail, self.artifacts, ledger

    def export(self, user_id: UUID | str) -> Export:
        """Export everything held about a person as a zip archive.

        It contains JSON lines files, a page for people (``index.html``) and a description of
        the fields (``schema.json``); ``docs/export.md`` documents the format. Included are soft-
        deleted rows, and what the person said to other people's twins as a participant whose
        ``ref`` is their id.

        Args:
            user_id: the person.

        Returns:
            The archive; it is created when it is read, and raises then.

        Raises:
            InvalidInputError: ``user_id`` is not a UUID.
            NotFoundError: (when read) nothing is held about this person.
        """
        person = parse_id(user_id, "user_id")
        return Export(lambda: self._export_user(person))

    def export_participant(
        self,
        *,
        kind: Kind | None = None,
        ref: str | None = None,
        session_id: UUID | str | None = None,
        participant_id: UUID | str | None = None,
    ) -> Export:
        """Export everything held about a participant, across all owners, as a zip archive.

        It contains their name, traits, rate limits and conversations; of a conversation in which
        they were the second speaker only their turns. The twins' owners appear only by id.

        Args:
            kind, ref: identify the participant across all owners; ``ref`` is 1 to 200 characters.
            session_id: the participant of this session instead, if they have no ref.
            participant_id: a participant without a ref, by their own id.

        Returns:
            The archive; it is created when it is read, and raises then.

        Raises:
            InvalidInputError: names the invalid field, or one that is too many.
            NotFoundError: (when read) no twin has this participant.
            InvalidStateError: (when read) they are named by an id, and have a ref.
        """
        participant = participant_named(kind, ref, session_id, participant_id)
        return Export(lambda: self._export_participant(participant))

    @operation
    async def erase(
        self, user_id: UUID | str, *, reason: str, verify: bool = False
    ) -> ErasureReceipt:
        """Delete everything held about a person, permanently.

        - The person's key is destroyed first, so that no encrypted value can be read again.
        - Rows are deleted from every table, cache entries also from every instance's memory.
        - Conversations with other people's twins, as a participant whose ``ref`` is their id,
          are redacted as by :meth:`erase_participant`.
        - The audit trail replaces the person with a random pseudonym.
        - Voices, faces and files of sessions are deleted by the hook ``on_artifact_delete``, with
          retries.

        Commits on its own and blocks writes for this person. Idempotent: if it is interrupted or
        the answer is lost, erase again. A second call for somebody of whom nothing is held any
        more returns the receipt of the erasure that was completed.

        Args:
            user_id: the person.
            reason: 1 to 500 characters. It is kept, so it should not identify anybody.
            verify: scan every column of every table afterwards; slow, it reads the whole database.

        Returns:
            The receipt: deleted rows by table, pending artifacts, and the ``scan`` if asked for.

        Raises:
            NotFoundError: nothing is held about this person, nor were they erased before.
            OutcomeUnknownError: the answer was lost; the erasure may be complete.
            InvalidStateError: called within a transaction.
            ConfigurationError: the ledger cannot be written, or this login lacks the role
                ``digitwin_retention``; nothing was erased.
            KeyUnavailableError: the key store cannot be reached; nothing was erased.
            InvalidInputError: names the invalid field.
        """
        person, why = parse_id(user_id, "user_id"), validate(_REASON, reason, "reason")
        self._refuse_in_transaction()
        across = (await across_people(self._core)).db
        terms = await search_terms(across, person, self._keys) if verify else []
        receipt = await self._erase_user(await self._eraser(), person, why)
        return replace(receipt, scan=await scan(across, terms)) if verify else receipt

    @operation
    async def erase_participant(
        self,
        *,
        kind: Kind | None = None,
        ref: str | None = None,
        session_id: UUID | str | None = None,
        participant_id: UUID | str | None = None,
        reason: str,
        keep_answers: bool = False,
    ) -> ErasureReceipt:
        """Erase a participant from all twins they talked to, across all owners; atomic.

        - The participant is deleted, with name, traits and the rate limits of their ref. A later
          visit creates a new participant.
        - Their sessions remain, ended, without metadata and ``external_id``.
        - Their turns remain with times, figures and costs; texts, ``language`` and ``extra``
          become empty. The speaker of a turn is its own participant, else that of its session:
          of a session with two speakers the other's words stay.
        - The items of these turns are removed. Items in no turn are of the session's participant.
        - Artifacts of these turns, of their sessions, and recordings of every session in which
          they spoke are removed, and deleted by the hook ``on_artifact_delete``.
        - The owners' cache entries are invalidated.

        Idempotent, as :meth:`erase` is. A guest without a ref has no lasting name: they are
        named by the session, or by their own id.

        Args:
            kind, ref: identify the participant across all owners.
            session_id: the participant of this session instead, if they have no ref.
            participant_id: a participant without a ref, by their own id.
            reason: as for :meth:`erase`.
            keep_answers: keep the twins' answers, although they may repeat what was said.

        Returns:
            The receipt.

        Raises:
            NotFoundError: no twin has this participant, nor were they erased before.
            InvalidStateError: they are named by an id, and have a ref; or called within a
                transaction.
            OutcomeUnknownError, ConfigurationError, InvalidInputError: as :meth:`erase`.
        """
        participant = participant_named(kind, ref, session_id, participant_id)
        why = validate(_REASON, reason, "reason")
        self._refuse_in_transaction()
        digest = hash_of_participant(participant, self._pepper)
        eraser = await self._eraser()
        try:
            return await eraser.participant(participant, digest, why, keep_answers=keep_answers)
        except NotFoundError:
            done = await receipts.finished(eraser.core.db, "participant", digest)
            if done is None:
                raise
            return done

    @operation
    async def receipt(self, id: UUID | str) -> ErasureReceipt:
        """Return the receipt of an erasure, with the artifacts that are pending now.

        Raises:
            NotFoundError: there is no such erasure.
        """
        return await receipts.get(self._core.aside, parse_id(id))

    @operation
    async def receipts(self, *, limit: int = 50, after: str | None = None) -> Page[ErasureReceipt]:
        """Return a page of receipts, newest first.

        Args:
            limit: page size, 1 to 1,000.
            after: ``next_cursor`` of the previous page.
        """
        size = bounded(limit, "limit", at_least=1, at_most=1000)
        return await receipts.page(self._core.aside, size, after)

    @operation
    async def replay(self) -> ReplayReport:
        """Erase again everybody that a restored backup brought back.

        Compares people and participants with the external ledger (``erasure_ledger``) and with
        the erasures recorded in the database. Idempotent.

        Returns:
            How many erasures are on record, and how many people and participants were erased.

        Raises:
            ConfigurationError: the ledger cannot be read.
        """
        self._refuse_in_transaction()
        across, eraser = await across_people(self._core), await self._eraser()
        return await ErasureReplay(across, eraser, self._ledger, self._pepper).run()

    def on_artifact_delete(self, deleter: ArtifactDeleter) -> ArtifactDeleter:
        """Set the hook that deletes artifacts from external storage; usable as a decorator.

        Same as ``connect(on_artifact_delete=…)``; a handle has one hook.

        Raises:
            InvalidInputError: it is not callable.
        """
        if not callable(deleter):
            raise InvalidInputError("deleter must be an async callable", field="deleter")
        self.artifacts.deleter = deleter
        self.artifacts.wake()
        return deleter

    @operation
    async def deliver(self) -> int:
        """Call the hook for every artifact that is due; return how many were deleted."""
        return await self.artifacts.deliver()

    @operation
    async def sweep(self) -> int:
        """Remove late writes and return the number of rows.

        A limiter call in flight during an erasure may have left one.
        """
        from digitwin.privacy.late_writes import remove_late_writes

        return await remove_late_writes(self._core)

    async def before_final(self, user_id: UUID, deletion_id: UUID) -> None:
        """Queue the artifacts of a soft delete that becomes final with this transaction."""
        core = await across_people(self._core)
        await self.artifacts.queue(core.db, user_id, deletion=deletion_id)

    async def close(self) -> None:
        """Stop the background task; called when the handle closes."""
        await self.artifacts.close()

    async def _eraser(self) -> Eraser:
        from digitwin.privacy.erasure import Eraser

        return Eraser(await across_people(self._core, FORGETTING), *self._parts)

    async def _erase_user(self, eraser: Eraser, person: UUID, reason: str) -> ErasureReceipt:
        try:
            return await eraser.user(person, reason)
        except NotFoundError:
            done = await receipts.finished(eraser.core.db, "user", hash_of_user(person))
            if done is None:
                raise
        await eraser.destroy_late_key(person)
        return done

    def _refuse_in_transaction(self) -> None:
        """An erasure has effects that a rollback cannot undo."""
        if Transaction.of(self._core.pool) is not None:
            raise InvalidStateError("An erasure commits on its own: call it outside a transaction")

    @streaming
    async def _export_user(self, person: UUID) -> AsyncGenerator[bytes, None]:
        from digitwin.privacy import data_map, erasure

        core = await across_people(self._core)
        if not await core.db.fetchval(erasure.is_known(), person=person):
            raise NotFoundError("user not found", id=str(person))
        await self._trail.record("user.export", "user", resource_id=str(person), user_id=person)
        files = data_map.files_about_person(person)
        visits = by_ref(str(person), except_of=person)
        files += data_map.files_about_participant("elsewhere", visits)
        async with aclosing(self._write(core, {"user_id": str(person)}, files)) as chunks:
            async for chunk in chunks:
                yield chunk

    @streaming
    async def _export_participant(self, participant: Participant) -> AsyncGenerator[bytes, None]:
        from digitwin.privacy import data_map, participants

        core = await across_people(self._core)
        selected = await participants.find(core.db, participant)
        await self._trail.record("participant.export", "participant")
        files = data_map.files_about_participant("data", selected)
        if isinstance(participant, ParticipantRef):
            files += data_map.files_about_ref("data", participant.ref)
        async with aclosing(self._write(core, participant.about, files)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _write(
        self, core: Core, about: dict[str, str], files: list[ExportFile]
    ) -> AsyncGenerator[bytes, None]:
        from digitwin.privacy.snapshot import snapshot

        writing = ExportWriter(about, files, self._keys)
        async with snapshot(core) as on, aclosing(writing.stream(on)) as chunks:
            async for chunk in chunks:
                yield chunk
