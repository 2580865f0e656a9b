"""A person's right to their data: all of it in one archive, and all of it gone."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING
from uuid import UUID

from digitwin.conversations.participant import Kind
from digitwin.errors import NotFoundError
from digitwin.kernel.core import Core, streaming
from digitwin.kernel.ids import parse_id
from digitwin.kernel.ports import Sealer
from digitwin.kernel.scopes import ACROSS_PEOPLE
from digitwin.kernel.sql import load
from digitwin.privacy.catalogue import AS_PARTICIPANT, CATALOGUE, LIMITS_OF_A_NAME
from digitwin.privacy.export import Export, Part, Writing, parts
from digitwin.privacy.ports import Trail
from digitwin.privacy.snapshot import snapshot
from digitwin.privacy.subjects import Them

if TYPE_CHECKING:
    from digitwin.privacy.protocols import DataProtection

_SQL = load(__package__)
_KNOWN = " OR ".join(
    f"EXISTS (SELECT 1 FROM {held.table} WHERE {held.found_by})" for held in CATALOGUE
)


class Privacy:
    """Export and erasure, for people and for those who talked to their twins.

    It works across people, under the database's role ``digitwin_service``, and what it does is
    in the audit trail.
    """

    def __init__(self, core: Core, *, keys: Sealer, trail: Trail) -> None:
        self._core: Core = core.scoped(ACROSS_PEOPLE)
        self._keys = keys
        self._trail = trail

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

    @streaming
    async def _export_user(self, person: UUID) -> AsyncGenerator[bytes, None]:
        if not await self._core.db.fetchval(_SQL["is_known"].format(found=_KNOWN), person):
            raise NotFoundError("user not found", id=str(person))
        await self._trail.record("user.export", "user", resource_id=str(person), user_id=person)
        files = parts(CATALOGUE[::-1], "data", person)
        files += parts(AS_PARTICIPANT, "elsewhere", str(person), None, person)
        async with aclosing(self._write({"user_id": str(person)}, files)) as chunks:
            async for chunk in chunks:
                yield chunk

    @streaming
    async def _export_participant(self, them: Them) -> AsyncGenerator[bytes, None]:
        if not await self._core.db.fetchval(_SQL["is_known_participant"], them.ref, them.kind):
            raise NotFoundError("participant not found", kind=them.kind)
        await self._trail.record("participant.export", "participant")
        files = parts(AS_PARTICIPANT, "data", them.ref, them.kind, None)
        files += parts(LIMITS_OF_A_NAME, "data", them.ref)
        about = {"kind": them.kind, "ref": them.ref}
        async with aclosing(self._write(about, files)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _write(self, about: dict[str, str], files: list[Part]) -> AsyncGenerator[bytes, None]:
        writing = Writing(about, files, self._keys)
        async with snapshot(self._core) as on, aclosing(writing.stream(on)) as chunks:
            async for chunk in chunks:
                yield chunk


if TYPE_CHECKING:

    def _is_what_is_promised(privacy: Privacy) -> DataProtection:
        return privacy
