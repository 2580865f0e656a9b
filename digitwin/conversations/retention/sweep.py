"""Removes sessions after ``session_retention``, person by person.

Each transaction is short: it locks sessions that nobody else holds, archives them if there is an
archive, queues their artifacts for deletion, removes them and records it. Any number of instances
may run at once. A process that dies leaves each session as it was, or removed; an archive then
has a file of a session that is still there, which the next run replaces.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Final
from uuid import UUID

from digitwin.conversations.deletion import session_tag
from digitwin.conversations.retention import archive
from digitwin.conversations.retention.archive import SessionExport
from digitwin.conversations.retention.preview import RetentionPreview, TierPreview
from digitwin.errors import ConfigurationError, DigiTwinError
from digitwin.kernel.connection.transactions import outside
from digitwin.kernel.execution.across_people import across_people
from digitwin.kernel.execution.core import Core
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.kernel.repository.ports import ArtifactQueue, CacheForgetter
from digitwin.kernel.sql import audit_step, crud
from digitwin.kernel.sql.queries import Queries, load
from digitwin.retention import TIERS

log = logging.getLogger("digitwin.maintenance")

BATCH: Final = 50
"""Sessions removed by one transaction; with an archive, one."""
PAGE: Final = 1000
"""People looked at by one statement."""

_CONTENTS: Final = (
    "conversation_turns",
    "turn_items",
    "usage_records",
    "turn_sources",
    "session_artifacts",
)
_INSIDE: Final = load(__package__)["inside"]
QUERIES = Queries(
    __package__,
    table="conversation_sessions",
    sizes=" + ".join(
        f"(SELECT coalesce(sum(pg_column_size(held.*)), 0) FROM {table} AS held WHERE {_INSIDE})"
        for table in _CONTENTS
    ),
    orphans=crud.orphans(":user_id"),
)


class SessionRetention:
    """The retention of sessions, as the handle's settings say.

    Args:
        core: the handle's core, unscoped: both work across people.
        queue: takes the artifacts of sessions that are removed.
        export_in: returns the export of the session repository on a core; without one, nothing is
            removed where an archive is set.
    """

    def __init__(
        self,
        core: Core,
        cache: CacheForgetter,
        queue: ArtifactQueue,
        export_in: Callable[[Core], SessionExport] | None = None,
    ) -> None:
        self._core = core
        self._cache = cache
        self._queue = queue
        self._export_in = export_in
        self._retention = core.settings.session_retention
        self._archive = core.settings.session_archive

    async def retire(self) -> int:
        """Remove the sessions that ended longer ago than they are kept, and return their number.

        A session that cannot be exported stays; the others are removed all the same.

        Raises:
            ConfigurationError: the archive cannot be written; or row security applies to this
                login, and the role for work across people is missing or not granted to it.
            DigiTwinError: the first failure to export a session, after the others were removed.
        """
        if self._retention is None:
            return 0
        if self._archive is not None and self._export_in is None:
            raise ConfigurationError("Sessions cannot be exported", field="session_archive")
        failures: list[DigiTwinError] = []
        removed = 0
        with outside():
            core = await across_people(self._core)
            async for people in self._people_due(core):
                for person in people:
                    removed += await self._retire_of(core, person, failures)
        if failures:
            raise failures[0]
        return removed

    async def preview(self) -> RetentionPreview:
        """Return what :meth:`retire` would remove now; reads the rows and changes nothing.

        Raises:
            ConfigurationError: as :meth:`retire`.
        """
        of = self._retention.of if self._retention is not None else lambda _: None
        tiers: dict[str, TierPreview] = {tier: TierPreview(of(tier)) for tier in TIERS}
        with outside():
            core = await across_people(self._core)
            async for people in self._people_due(core):
                for record in await core.db.fetch(QUERIES["preview"], people=people, **self._kept):
                    tiers[record["tier"]] = tiers[record["tier"]].plus(record)
        return RetentionPreview.of(tiers)

    @property
    def _kept(self) -> dict[str, list[Any]]:
        limited = {} if self._retention is None else self._retention.limited
        return {"tiers": list(limited), "seconds": list(limited.values())}

    async def _people_due(self, core: Core) -> AsyncGenerator[list[UUID], None]:
        """Yield the people who have sessions to remove, page by page."""
        after: UUID | None = NOBODY
        while self._kept["tiers"] and after is not None:
            page: Any = await core.db.fetchrow(
                QUERIES["people_due"], after=after, size=PAGE, **self._kept
            )
            after = page["last"]
            if page["due"]:
                yield page["due"]

    async def _retire_of(self, core: Core, person: UUID, failures: list[DigiTwinError]) -> int:
        removed = 0
        failed: list[UUID] = []
        while True:
            held: list[UUID] = []
            try:
                async with core.transaction():
                    held += await self._hold(core, person, failed)
                    if not held:
                        return removed
                    await self._remove(core, person, held)
            except DigiTwinError as error:
                if not held or error.retryable or error.details.get("field") == "session_archive":
                    raise
                log.warning("A session is kept, since it cannot be exported: %s", error)
                failures.append(error)
                failed += held
            else:
                removed += len(held)

    async def _hold(self, core: Core, person: UUID, failed: Sequence[UUID]) -> list[UUID]:
        """Lock sessions of a person that are due, and return their ids."""
        tier = await core.db.fetchval(QUERIES["hold_owner"], user_id=person)
        seconds = None if tier is None or self._retention is None else self._retention.of(tier)
        if seconds is None:
            return []
        batch = BATCH if self._archive is None else 1
        rows = await core.db.fetch(
            QUERIES["hold_due"], user_id=person, seconds=seconds, failed=failed, batch=batch
        )
        return [row["id"] for row in rows]

    async def _remove(self, core: Core, person: UUID, ids: list[UUID]) -> None:
        db = core.db
        if self._archive is not None and self._export_in is not None:
            for id in ids:
                await db.fetchval(QUERIES["hold_turns"], user_id=person, session_id=id)
                await archive.write(self._archive, person, id, self._export_in(core))
        await self._queue.queue_sessions(db, [person] * len(ids), ids)
        about = audit_step.parameters(len(ids), retention=True, archived=self._archive is not None)
        await db.execute("SET LOCAL digitwin.allow_hard_delete = 'on'")
        await db.fetchval(QUERIES["remove"], user_id=person, ids=ids, **about)
        await db.execute("SET LOCAL digitwin.allow_hard_delete = 'off'")
        await self._cache.forget_tags([session_tag(id) for id in ids])

    async def before_final(self, user_id: UUID, deletion_id: UUID) -> None:
        """Forget what was cached of sessions whose own deletion becomes final."""
        core = await across_people(self._core)
        rows = await core.db.fetch(
            QUERIES["deleted_alone"], user_id=user_id, deletion_id=deletion_id
        )
        if rows:
            await self._cache.forget_tags([session_tag(row["id"]) for row in rows])
