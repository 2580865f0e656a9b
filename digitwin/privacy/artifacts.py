"""Deletes artifacts from external storage, with retries until the hook succeeds.

Artifacts are trained voices and faces, and the recordings, videos, images and files of sessions.
Pending deletions are queued in the database, their addresses encrypted with the service's key,
since the person's key is destroyed. Instances claim rows for :data:`CLAIM` seconds; a claim
whose instance died expires and is taken over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal, Protocol, cast
from uuid import UUID, uuid5

from digitwin.errors import InvalidStateError, KeyUnavailableError
from digitwin.kernel.connection.transactions import Transaction
from digitwin.kernel.execution.background import NEVER, BackgroundTask
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.kernel.repository.ports import EncryptedRow, FieldCipher
from digitwin.kernel.sql.queries import Queries

log = logging.getLogger("digitwin.privacy")

CLAIM: Final = 120.0
"""Seconds until a claim expires."""
HOOK_TIMEOUT: Final = 100.0
"""Timeout of the hook in seconds; less than a claim lasts."""
BATCH: Final = 10
FIRST_PAUSE: Final = 30.0
LONGEST_PAUSE: Final = 6 * 3600.0
LOOK_AGAIN: Final = 60.0
"""Seconds between checks for artifacts that other instances queued."""

Kind = Literal["voice", "face", "recording", "video", "image", "file"]
QUERIES = Queries(__package__)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A trained voice or face, or what is kept of a session, to delete from external storage."""

    id: UUID
    """The same for every attempt."""
    kind: Kind
    """``voice`` or ``face`` of a model; else the kind of a session's artifact."""
    address: str = field(repr=False)
    """The ``artifact_uri`` of the model or of the session's artifact."""


class ArtifactDeleter(Protocol):
    """The hook that deletes an artifact from external storage: ``connect(on_artifact_delete=…)``.

    Return once the artifact is deleted; raise if it is not. A failed call is retried after 30
    seconds, doubling up to six hours, until it succeeds. The hook must be idempotent: it may be
    called twice for one artifact, after a crash or after a call that took more than 100 seconds
    and was cancelled. An artifact that no longer exists counts as deleted.
    """

    async def __call__(self, artifact: Artifact, /) -> None:
        """Delete the artifact."""


class Artifacts:
    """The queue of artifacts to delete, and the background task that calls the hook.

    Args:
        core: the handle's core, unscoped: maintenance uses it as well.
        keys: encrypts and decrypts addresses.
        deleter: the hook; None: artifacts stay queued.
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
        """Queue a person's artifacts for deletion once the caller's transaction has committed.

        The models' rows stay locked until then, so that no address changes.

        Call it before their rows or their key are deleted. Idempotent. Artifacts queued by an
        erasure become due when the erasure completes.

        Args:
            on: the caller's transaction.
            user_id: the person.
            deletion: only artifacts that go with this soft delete: all, if it is the person's
                own, since their rows go too; all if unset.
            erasure: the erasure they belong to, if any.

        Returns:
            How many artifacts were queued.
        """
        rows = await on.fetch(QUERIES["artifacts"], person=user_id, deletion_id=deletion)
        return await self.queue_rows(on, rows, erasure=erasure)

    async def queue_sessions(
        self, on: Statements, owners: Sequence[UUID], sessions: Sequence[UUID]
    ) -> int:
        """Queue what is kept of these sessions, before their rows are deleted; see :meth:`queue`.

        Args:
            on: the caller's transaction.
            owners: the owner of each session.
            sessions: the sessions' ids.
        """
        rows = await on.fetch(QUERIES["artifacts_of_sessions"], owners=owners, ids=sessions)
        return await self.queue_rows(on, rows)

    async def queue_one(self, on: Statements, id: UUID, kind: str, address: str) -> None:
        """Queue one artifact whose address the caller has decrypted; see :meth:`queue`."""
        await self._put(on, id, kind, address, None)
        self._wake_at_end()

    async def queue_rows(
        self, on: Statements, rows: Iterable[Any], *, erasure: UUID | None = None
    ) -> int:
        """Queue rows, with their table, owner, id, kind and encrypted address; see :meth:`queue`.

        A row whose address cannot be decrypted is skipped: it must not prevent a deletion.
        """
        rows, queued = list(rows), 0
        await self._keys.prefetch({row["user_id"] for row in rows})
        for row in rows:
            address = await self._address(row)
            if address is not None:
                await self._put(on, row["id"], row["kind"], address, erasure)
                queued += 1
        if queued and erasure is None:
            self._wake_at_end()
        return queued

    async def _address(self, row: Any) -> str | None:
        place = EncryptedRow(row["table_name"], row["user_id"], row["id"])
        try:
            opened = await self._keys.decrypt(place, {"artifact_uri": row["artifact_uri"]})
        except (KeyUnavailableError, InvalidStateError) as error:
            log.warning(
                "Cannot decrypt the artifact address of a row of %s, skipped: %s",
                row["table_name"],
                error,
            )
            return None
        return opened["artifact_uri"]

    async def _put(
        self, on: Statements, row_id: UUID, kind: str, address: str, erasure: UUID | None
    ) -> None:
        # One that waits for its erasure does not keep an earlier deletion from being due
        id = uuid5(row_id if erasure is None else uuid5(erasure, str(row_id)), address)
        encrypted = await self._keys.encrypt(_place(id), {"address": address})
        await on.execute(
            QUERIES["queue_artifact"],
            id=id,
            erasure_id=erasure,
            kind=kind,
            address=encrypted["address"],
        )

    def _wake_at_end(self) -> None:
        transaction = Transaction.of(self._core.pool)
        assert transaction is not None, "artifacts are queued in a transaction"
        transaction.at_end(self.wake)

    async def deliver(self) -> int:
        """Call the hook for every artifact that is due; return how many were deleted.

        Safe to run in several instances at once.
        """
        gone = 0
        if self.deleter is None:
            return gone
        claim = partial(
            self._core.aside.fetch,
            QUERIES["claim_artifacts"],
            batch=BATCH,
            claim_seconds=CLAIM,
            longest=max(CLAIM, LONGEST_PAUSE),
        )
        while rows := await claim():
            gone += sum(await asyncio.gather(*(self._ask(self.deleter, row) for row in rows)))
        return gone

    async def _ask(self, deleter: ArtifactDeleter, row: Any) -> bool:
        try:
            opened = await self._keys.decrypt(_place(row["id"]), {"address": row["address"]})
            artifact = Artifact(row["id"], cast(Kind, row["kind"]), opened["address"])
            async with asyncio.timeout(HOOK_TIMEOUT):
                await deleter(artifact)
        except Exception as error:  # noqa: BLE001 - every failure of the hook is retried
            pause = min(FIRST_PAUSE * 2 ** min(row["attempts"] - 1, 20), LONGEST_PAUSE)
            name = type(error).__name__  # its message may hold the address
            log.warning("Deleting an artifact failed (%s), retrying in %g s", name, pause)
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
