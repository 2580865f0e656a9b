"""Voices and faces kept elsewhere: whoever keeps them is asked until they are deleted.

What is still to be deleted waits in the database, its address encrypted with the service's key
and no longer the person's. A row is claimed for a time, so that several instances do not ask
at once; whoever claimed it and died lets it be claimed again.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal, Protocol, cast
from uuid import UUID, uuid5

from digitwin.errors import InvalidStateError, KeyUnavailableError
from digitwin.kernel.execution.background import NEVER, BackgroundTask
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.kernel.repository.ports import EncryptedRow, FieldCipher
from digitwin.kernel.sql.queries import Queries

log = logging.getLogger("digitwin.privacy")

CLAIM: Final = 120.0
"""Seconds a claim lasts."""
PATIENCE: Final = 100.0
"""Seconds the hook may take: less than a claim lasts."""
BATCH: Final = 10
FIRST_PAUSE: Final = 30.0
LONGEST_PAUSE: Final = 6 * 3600.0
LOOK_AGAIN: Final = 60.0
"""Seconds after which the background looks again, whoever has queued something meanwhile."""

Kind = Literal["voice", "face"]
_KINDS: Final[dict[str, Kind]] = {"voice_models": "voice", "face_models": "face"}
QUERIES = Queries(__package__)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A trained voice or face that is to be deleted where it is kept."""

    id: UUID
    """The same at every attempt."""
    kind: Kind
    address: str = field(repr=False)
    """What its model had as ``artifact_uri``."""


class ArtifactDeleter(Protocol):
    """Deletes an artifact where it is kept: ``connect(on_artifact_delete=…)``.

    It returns when the artifact is gone for good, and raises when it is not: then it is asked
    again, after 30 seconds, then twice as long each time, up to six hours, until it succeeds.
    It must be idempotent: an artifact that is not there any more is deleted, for the same one
    may come twice, after a crash or when an attempt took more than 100 seconds and was given up.
    """

    async def __call__(self, artifact: Artifact, /) -> None:
        """Delete it."""


class Artifacts:
    """What waits to be deleted, and the background task that asks.

    Args:
        core: the handle's inside, without a scope: it is asked by upkeep, too.
    """

    def __init__(self, core: Core, keys: FieldCipher, deleter: ArtifactDeleter | None) -> None:
        self._core = core
        self._keys = keys
        self.deleter = deleter
        self._task = BackgroundTask(
            self._deliver_due, name="artifact deletion", logger=log, interval=LOOK_AGAIN
        )

    async def queue(
        self,
        on: Statements,
        user_id: UUID,
        *,
        deletion: UUID | None = None,
        erasure: UUID | None = None,
    ) -> int:
        """Have a person's artifacts deleted once the caller's transaction has committed.

        To be asked before their rows, or their key, are gone. One that is queued already stays
        queued once. What an erasure queues waits until it is completed.

        Args:
            on: statements of the caller's transaction.
            deletion: of those alone that this deletion hid; else of all.
        """
        queued = 0
        for row in await on.fetch(QUERIES["artifacts"], person=user_id, deletion_id=deletion):
            address = await self._address(row, user_id)
            if address is not None:
                await self._put(on, row, address, erasure)
                queued += 1
        return queued

    async def _address(self, row: Any, user_id: UUID) -> str | None:
        place = EncryptedRow(row["table_name"], user_id, row["id"])
        try:
            opened = await self._keys.decrypt(place, {"artifact_uri": row["artifact_uri"]})
        except (KeyUnavailableError, InvalidStateError) as error:
            log.warning("Where a %s is kept can no longer be read: %s", row["table_name"], error)
            return None
        return opened["artifact_uri"]

    async def _put(self, on: Statements, row: Any, address: str, erasure: UUID | None) -> None:
        id = uuid5(row["id"], address)
        encrypted = await self._keys.encrypt(_place(id), {"address": address})
        await on.execute(
            QUERIES["queue_artifact"],
            id=id,
            erasure_id=erasure,
            kind=_KINDS[row["table_name"]],
            address=encrypted["address"],
        )

    async def deliver(self) -> int:
        """Ask for all that is due; how many are gone. Several instances may be at it."""
        gone = 0
        if self.deleter is None:
            return gone
        claim = partial(
            self._core.aside.fetch, QUERIES["claim_artifacts"], batch=BATCH, claim_seconds=CLAIM
        )
        while rows := await claim():
            gone += sum(await asyncio.gather(*(self._ask(self.deleter, row) for row in rows)))
        return gone

    async def _ask(self, deleter: ArtifactDeleter, row: Any) -> bool:
        try:
            opened = await self._keys.decrypt(_place(row["id"]), {"address": row["address"]})
            artifact = Artifact(row["id"], cast(Kind, row["kind"]), opened["address"])
            async with asyncio.timeout(PATIENCE):
                await deleter(artifact)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is tried again
            pause = min(FIRST_PAUSE * 2 ** min(row["attempts"] - 1, 20), LONGEST_PAUSE)
            name = type(error).__name__  # its message may hold the address
            log.warning("An artifact was not deleted (%s): again in %g s", name, pause)
            await self._core.aside.execute(
                QUERIES["artifact_failed"],
                id=row["id"],
                attempts=row["attempts"],
                pause_seconds=pause,
                error=name[:200],
            )
            return False
        await self._core.aside.execute(QUERIES["artifact_gone"], id=row["id"])
        return True

    def wake(self) -> None:
        """Ask in the background from now on, until nothing waits any more."""
        if self.deleter is not None and not self._core.closing:
            self._task.wake()

    async def close(self) -> None:
        """Stop asking; what is under way is given up and asked for again later."""
        await self._task.stop()

    async def _deliver_due(self) -> float:
        await self.deliver()
        due: float | None = await self._core.aside.fetchval(QUERIES["next_artifact"])
        return NEVER if due is None else min(max(due, 0.01), LOOK_AGAIN)


def _place(id: UUID) -> EncryptedRow:
    return EncryptedRow("artifact_deletions", NOBODY, id)
