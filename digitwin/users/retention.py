"""Makes deletions final after their retention: removes the rows that they hid.

Each deletion takes one short transaction, which locks the owner first, as a restore does. Any
number of instances may run at once: one that finds the owner locked skips the deletion, and a
concurrent restore either comes first or finds nothing to restore.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from digitwin.kernel.execution import audit_records
from digitwin.kernel.execution.across_people import across_people
from digitwin.kernel.execution.core import Core
from digitwin.kernel.repository.cached_rows import forget_person
from digitwin.kernel.repository.ports import CacheForgetter
from digitwin.kernel.sql import crud
from digitwin.kernel.sql.queries import Queries
from digitwin.users import cascade

QUERIES = Queries(__package__)

_BEGINNING = {"after_time": datetime(1970, 1, 1, tzinfo=UTC), "after_id": UUID(int=0)}

BeforeFinal = Callable[[UUID, UUID], Awaitable[None]]
"""Hook called with the person and the deletion, in its transaction and before its rows are
deleted: it records what must be removed elsewhere, such as artifacts and cached answers."""


class DeletionRetention:
    """Makes deletions final after their retention; see :meth:`make_final`."""

    def __init__(
        self,
        core: Core,
        cache: CacheForgetter,
        before_final: Iterable[BeforeFinal] = (),
    ) -> None:
        self._core = core
        self._cache = cache
        self._before_final = tuple(before_final)

    async def make_final(self, older_than: float) -> int:
        """Delete the rows hidden by deletions older than ``older_than`` seconds.

        Returns:
            How many deletions have become final.

        Raises:
            ConfigurationError: row security applies to this login, and the role for work
                across people is missing or not granted to it.
        """
        core = await across_people(self._core)
        place, done = _BEGINNING, 0
        while True:
            async with core.transaction():
                event = await core.db.fetchrow(QUERIES["due"], older_than=older_than, **place)
                if event is None:
                    return done
                place = {"after_time": event["deleted_at"], "after_id": event["id"]}
                done += await self._finish(core, event)

    async def _finish(self, core: Core, event: Any) -> int:
        of_a_user = event["resource"] == "user"
        user_id, key = event["user_id"], {"user_id": event["user_id"], "deletion_id": event["id"]}
        if await core.db.fetchval(QUERIES["hold_owner"], user_id=user_id) is None:
            return 0
        if await core.db.fetchval(QUERIES["still_due"], **key) is None:
            return 0
        for hold in cascade.hold_belongings() if of_a_user else ():
            await core.db.fetchval(hold, user_id=user_id)
        for hook in self._before_final:
            await hook(user_id, event["id"])
        if of_a_user:
            await forget_person(core.db, self._cache, user_id)
        await core.db.execute("SET LOCAL digitwin.allow_hard_delete = 'on'")
        remove = QUERIES["remove_user"] if of_a_user else cascade.remove_hidden()
        removed: int = await core.db.fetchval(remove, **key)
        await core.db.execute("SET LOCAL digitwin.allow_hard_delete = 'off'")
        for clear in () if of_a_user else crud.clear_orphans():
            await core.db.execute(clear, user_id=user_id)
        if removed:
            about, resource = str(event["resource_id"]), event["resource"]
            deletion = {"deletion_id": str(event["id"])}
            await audit_records.record(
                core.db, f"{resource}.hard_delete", resource, about, user_id, **deletion
            )
        if event["resource"] == "document":
            await self._cache.forget_searches(user_id)
        return removed
