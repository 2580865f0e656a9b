"""Replay of erasures: erases again the people that a restored backup brought back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from digitwin.errors import NotFoundError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.kernel.sql.queries import Queries
from digitwin.privacy.ledger import Ledger
from digitwin.privacy.subjects import (
    Guest,
    Participant,
    ParticipantRef,
    hash_of_participant,
    hash_of_ref,
    hash_of_user,
)

if TYPE_CHECKING:
    from digitwin.privacy.erasure import Eraser

REASON: Final = "replay of the erasure ledger"

QUERIES = Queries(__package__)


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """Result of a replay of erasures."""

    entries: int
    """Erasures on record, in the ledger or in this database."""
    users: int
    """People who were present again and were erased."""
    participants: int
    """Participants who were present again and were erased."""


@dataclass(frozen=True, slots=True)
class ErasureReplay:
    """Compares everybody in the database with the recorded erasures and erases the matches."""

    core: Core
    eraser: Eraser
    ledger: Ledger | None
    pepper: str | None

    async def run(self) -> ReplayReport:
        known = await self._known()
        users = participants = 0
        for person in await self._people(known):
            users += await self._user(person)
        erased: list[Participant] = [*await self._participants(known), *await self._guests(known)]
        for participant in erased:
            participants += await self._participant(participant)
        return ReplayReport(len(known), users, participants)

    async def _known(self) -> dict[str, datetime]:
        """Return the time of each erasure by hash, from the ledger and from this database."""
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
        async with aclosing(self.core.db.stream(QUERIES["people"], nobody=NOBODY)) as rows:
            return [row["id"] async for row in rows if hash_of_user(row["id"]) in known]

    async def _participants(self, known: Mapping[str, datetime]) -> list[ParticipantRef]:
        """Return erased participants that existed before their erasure; later ones are new."""
        found = []
        async with aclosing(self.core.db.stream(QUERIES["named_participants"])) as rows:
            async for row in rows:
                participant = ParticipantRef(row["kind"], row["ref"])
                erased = known.get(hash_of_participant(participant, self.pepper)) or known.get(
                    hash_of_ref(row["kind"], row["ref"], self.pepper)  # of an earlier release
                )
                if erased is not None and row["since"] <= erased:
                    found.append(participant)
        return found

    async def _guests(self, known: Collection[str]) -> list[Guest]:
        """Return erased participants without a ref, by the name by which they were erased."""
        found = {}
        async with aclosing(self.core.db.stream(QUERIES["guests"])) as rows:
            async for row in rows:
                names = [Guest("participant_id", row["id"])]
                if row["session_id"] is not None:
                    names.append(Guest("session_id", row["session_id"]))
                for guest in names:
                    if hash_of_participant(guest, self.pepper) in known:
                        found[row["id"]] = guest
        return list(found.values())

    async def _user(self, person: UUID) -> bool:
        try:
            await self.eraser.user(person, REASON)
        except NotFoundError:  # a concurrent replay erased them
            return False
        return True

    async def _participant(self, participant: Participant) -> bool:
        digest = hash_of_participant(participant, self.pepper)
        try:
            await self.eraser.participant(participant, digest, REASON, keep_answers=False)
        except NotFoundError:
            return False
        return True
