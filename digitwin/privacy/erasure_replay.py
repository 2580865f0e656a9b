"""Erasing again whom a restored backup has brought back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from digitwin.errors import NotFoundError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.sql.queries import Queries
from digitwin.privacy.erasure import Eraser
from digitwin.privacy.ledger import Ledger
from digitwin.privacy.subjects import Them, hash_of_participant, hash_of_user

REASON: Final = "replay of the erasure ledger"

QUERIES = Queries(__package__)


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay found and erased."""

    entries: int
    """Erased people and participants that were known by their hash."""
    users: int
    """People who were there again, and are gone."""
    participants: int
    """Participants who were there again, and are gone."""


@dataclass(frozen=True, slots=True)
class ErasureReplay:
    """One replay: everybody who is there, compared with everybody who was erased."""

    core: Core
    eraser: Eraser
    ledger: Ledger | None
    pepper: str | None

    async def run(self) -> ReplayReport:
        known = await self._known()
        users = participants = 0
        for person in await self._people(known):
            users += await self._user(person)
        for them in await self._participants(known):
            participants += await self._participant(them)
        return ReplayReport(len(known), users, participants)

    async def _known(self) -> dict[str, datetime]:
        """When who was erased: the ledger's, and what this database itself knows."""
        known = {
            row["subject_hash"]: row["at"] for row in await self.core.db.fetch(QUERIES["erased"])
        }
        if self.ledger is not None:
            async with aclosing(self.ledger.entries()) as entries:
                async for entry in entries:
                    known[entry.subject_hash] = max(
                        entry.at, known.get(entry.subject_hash, entry.at)
                    )
        return known

    async def _people(self, known: Collection[str]) -> list[UUID]:
        async with aclosing(self.core.db.stream(QUERIES["people"])) as rows:
            return [row["id"] async for row in rows if hash_of_user(row["id"]) in known]

    async def _participants(self, known: Mapping[str, datetime]) -> list[Them]:
        """Those who were there before they were erased: whoever came again since may stay."""
        found = []
        async with aclosing(self.core.db.stream(QUERIES["named_participants"])) as rows:
            async for row in rows:
                them = Them(row["kind"], row["ref"])
                erased = known.get(hash_of_participant(them, self.pepper))
                if erased is not None and row["since"] <= erased:
                    found.append(them)
        return found

    async def _user(self, person: UUID) -> bool:
        try:
            await self.eraser.user(person, REASON)
        except NotFoundError:  # another replay was first
            return False
        return True

    async def _participant(self, them: Them) -> bool:
        digest = hash_of_participant(them, self.pepper)
        try:
            await self.eraser.participant(them, digest, REASON, keep_answers=False)
        except NotFoundError:
            return False
        return True
