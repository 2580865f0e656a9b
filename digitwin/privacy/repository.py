"""A person's right to their data: all of it in one archive, and all of it gone."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated
from uuid import UUID

from pydantic import TypeAdapter

from digitwin.conversations.participant import Kind
from digitwin.errors import InvalidStateError, NotFoundError
from digitwin.kernel.connection.scopes import ACROSS_PEOPLE, FORGETTING, Scope
from digitwin.kernel.connection.transactions import Transaction
from digitwin.kernel.execution.core import Core, operation, streaming
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.validation import bounded, line, validate
from digitwin.kernel.repository.paging import Page
from digitwin.kernel.repository.ports import CacheForgetter
from digitwin.kernel.sql.queries import Queries
from digitwin.privacy import receipts
from digitwin.privacy.artifacts import ArtifactDeleter, Artifacts
from digitwin.privacy.data_map import (
    files_about_name,
    files_about_participant,
    files_about_person,
)
from digitwin.privacy.erasure import Eraser, is_known
from digitwin.privacy.erasure_replay import ErasureReplay, ReplayReport
from digitwin.privacy.export import Export, ExportFile, ExportWriter
from digitwin.privacy.late_writes import remove_late_writes
from digitwin.privacy.ledger import FileLedger, Ledger
from digitwin.privacy.ports import Keys, Limits, Trail
from digitwin.privacy.receipts import ErasureReceipt
from digitwin.privacy.scan import needles_of, scan
from digitwin.privacy.snapshot import snapshot
from digitwin.privacy.subjects import Them, hash_of_participant

_REASON: TypeAdapter[str] = TypeAdapter(Annotated[str, line(500)])
QUERIES = Queries(__package__)


class Privacy:
    """Export and erasure, for people and for those who talked to their twins.

    It works across people, and what it does is in the audit trail. Where row security binds
    whoever logged in, an export is read as the database's role ``digitwin_service``, and an
    erasure done as ``digitwin_retention``, to whom the trail belongs.
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
        """Everything held about a person, in every table, as one zip archive.

        Files of JSON lines, a page for people (``index.html``), and what the fields mean
        (``schema.json``); the format is in ``docs/export.md``. Deleted rows that are still kept
        are in it, and what the person said to other people's twins as a participant whose
        ``ref`` is their id.

        Raises (when it is read):
            NotFoundError: nothing is held about this person.
            InvalidInputError: ``user_id`` is not a UUID (at once).
        """
        person = parse_id(user_id, "user_id")
        return Export(lambda: self._export_user(person))

    def export_participant(self, *, kind: Kind, ref: str) -> Export:
        """Everything held about somebody who talked to twins, whosever they are.

        Their name, traits and limits, their conversations, and what was said in them. Of the
        twins' owners there is the id alone.

        Raises (when it is read):
            NotFoundError: no twin knows this participant.
            InvalidInputError: ``kind`` or ``ref`` does not fit (at once).
        """
        them = Them(kind, ref)
        return Export(lambda: self._export_participant(them))

    @operation
    async def erase(
        self, user_id: UUID | str, *, reason: str, verify: bool = False
    ) -> ErasureReceipt:
        """Remove everything that is held about a person, for good.

        Their key is destroyed first, so that nothing encrypted can be read again whatever comes.
        Rows go from every table, cached entries from every instance's memory, limits and counts
        with their id; what they said to other people's twins, as a participant whose ``ref`` is
        their id, is emptied as by :meth:`erase_participant`; the audit trail names a pseudonym
        that nobody keeps. Voices and faces are deleted where they are kept by the hook
        ``on_artifact_delete``, which is asked until it succeeds; the receipt says how many wait.
        It commits by itself and holds back whoever is adding something meanwhile. Broken off,
        it is completed by erasing again, or by :meth:`replay`.

        Args:
            reason: why, in a few words, 1 to 500 characters; it is kept, so it should name nobody.
            verify: look through every column of every table afterwards, and say in the receipt's
                ``scan`` what is still there. It reads the whole database.

        Raises:
            NotFoundError: nothing is held about this person.
            InvalidStateError: called within a transaction.
            ConfigurationError: the ledger cannot be written, or the login may not take on the
                role ``digitwin_retention``; nothing was erased.
            KeyUnavailableError: the key store does not answer; nothing was erased.
            InvalidInputError: names the field that does not fit.
        """
        person, why = parse_id(user_id, "user_id"), validate(_REASON, reason, "reason")
        self._alone()
        across = (await self._as(ACROSS_PEOPLE)).db
        needles = await needles_of(across, person, self._keys) if verify else []
        receipt = await (await self._eraser()).user(person, why)
        return replace(receipt, scan=await scan(across, needles)) if verify else receipt

    @operation
    async def erase_participant(
        self, *, kind: Kind, ref: str, reason: str, keep_answers: bool = False
    ) -> ErasureReceipt:
        """Take somebody out of all twins they talked to, whosever they are; atomic.

        The participant is removed, with name and traits and the limits under their ref. Their
        conversations stay as a fact, ended, without metadata and ``external_id``; what was said
        in them is emptied, and the owners' cached entries are forgotten. They may come back, as
        somebody new.

        Args:
            reason: as for :meth:`erase`.
            keep_answers: keep what the twins answered, though it may repeat what was said.

        Raises:
            NotFoundError: no twin knows this participant.
            InvalidStateError, ConfigurationError, InvalidInputError: as :meth:`erase`.
        """
        them, why = Them(kind, ref), validate(_REASON, reason, "reason")
        self._alone()
        digest = hash_of_participant(them, self._pepper)
        eraser = await self._eraser()
        return await eraser.participant(them, digest, why, keep_answers=keep_answers)

    @operation
    async def receipt(self, id: UUID | str) -> ErasureReceipt:
        """The receipt of an erasure, with what still waits by now.

        Raises:
            NotFoundError: there is no such erasure.
        """
        return await receipts.get(self._core.aside, parse_id(id))

    @operation
    async def receipts(self, *, limit: int = 50, after: str | None = None) -> Page[ErasureReceipt]:
        """A page of receipts, the newest first.

        Args:
            limit: how many, 1 to 1,000.
            after: the page before's ``next_cursor``.
        """
        size = bounded(limit, "limit", at_least=1, at_most=1000)
        return await receipts.page(self._core.aside, size, after)

    @operation
    async def replay(self) -> ReplayReport:
        """Erase again whom the ledger names, as after a backup was restored.

        Everybody in the database is compared with the ledger outside (``erasure_ledger``) and
        with the erasures that were begun in the database itself.

        Raises:
            ConfigurationError: the ledger cannot be read.
        """
        self._alone()
        across, eraser = await self._as(ACROSS_PEOPLE), await self._eraser()
        return await ErasureReplay(across, eraser, self._ledger, self._pepper).run()

    def on_artifact_delete(self, deleter: ArtifactDeleter) -> ArtifactDeleter:
        """Have this asked to delete voices and faces where they are kept; as a decorator, too.

        In place of ``connect(on_artifact_delete=…)``; one for a handle.
        """
        self.artifacts.deleter = deleter
        self.artifacts.wake()
        return deleter

    @operation
    async def deliver(self) -> int:
        """Have the artifacts that are due deleted, as upkeep does; how many are gone."""
        return await self.artifacts.deliver()

    @operation
    async def sweep(self) -> int:
        """Remove what came for the erased after their erasure, as upkeep does; how many rows.

        A decision of the limiter that was under way with the erasure may have left one.
        """
        return await remove_late_writes(self._core)

    async def before_final(self, user_id: UUID, deletion_id: UUID) -> None:
        """Have the artifacts of what a deletion hid deleted, once its transaction commits."""
        core = await self._as(ACROSS_PEOPLE)
        if await self.artifacts.queue(core.db, user_id, deletion=deletion_id):
            frame = Transaction.of(self._core.pool)
            assert frame is not None
            frame.at_end(self.artifacts.wake)

    async def close(self) -> None:
        """Stop asking for artifacts; the handle calls this as it closes."""
        await self.artifacts.close()

    async def _as(self, scope: Scope) -> Core:
        """On behalf of a scope, where row security binds whoever logged in."""
        bound = await self._core.db.fetchval(QUERIES["is_bound"])
        return self._core.scoped(scope) if bound else self._core

    async def _eraser(self) -> Eraser:
        return Eraser(await self._as(FORGETTING), *self._parts)

    def _alone(self) -> None:
        """An erasure has steps that no rollback takes back."""
        if Transaction.of(self._core.pool) is not None:
            raise InvalidStateError("An erasure commits by itself: call it outside a transaction")

    @streaming
    async def _export_user(self, person: UUID) -> AsyncGenerator[bytes, None]:
        core = await self._as(ACROSS_PEOPLE)
        if not await core.db.fetchval(is_known(), person=person):
            raise NotFoundError("user not found", id=str(person))
        await self._trail.record("user.export", "user", resource_id=str(person), user_id=person)
        files = files_about_person(person)
        files += files_about_participant("elsewhere", str(person), except_of=person)
        async with aclosing(self._write(core, {"user_id": str(person)}, files)) as chunks:
            async for chunk in chunks:
                yield chunk

    @streaming
    async def _export_participant(self, them: Them) -> AsyncGenerator[bytes, None]:
        core = await self._as(ACROSS_PEOPLE)
        if not await core.db.fetchval(
            QUERIES["is_known_participant"], ref=them.ref, kind=them.kind
        ):
            raise NotFoundError("participant not found", kind=them.kind)
        await self._trail.record("participant.export", "participant")
        files = files_about_participant("data", them.ref, kind=them.kind)
        files += files_about_name("data", them.ref)
        about = {"kind": them.kind, "ref": them.ref}
        async with aclosing(self._write(core, about, files)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _write(
        self, core: Core, about: dict[str, str], files: list[ExportFile]
    ) -> AsyncGenerator[bytes, None]:
        writing = ExportWriter(about, files, self._keys)
        async with snapshot(core) as on, aclosing(writing.stream(on)) as chunks:
            async for chunk in chunks:
                yield chunk
