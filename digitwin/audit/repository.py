"""The audit trail, as ``db.audit``: records can be added, read and purged, but not changed.

Modules of rare operations are imported by these, which keeps them out of every start.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any, Final, Unpack
from uuid import UUID

from digitwin.audit import partitions, sealing
from digitwin.audit.faults import AuditVerification
from digitwin.audit.fields import ENTRY, FILTERS, Details, Entry, Filters
from digitwin.audit.models import AuditLog
from digitwin.audit.sealing import MAX_TIME, MIN_TIME, SealingConfig
from digitwin.audit.signing import Signers
from digitwin.audit.statistics import AuditStatistics, add_up
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.operations import operation, streaming
from digitwin.kernel.orm.hydration import hydrate
from digitwin.kernel.primitives.ids import NOBODY, uuid7
from digitwin.kernel.primitives.iterables import fields_of, listed
from digitwin.kernel.primitives.validation import Period, bounded, dumps, seconds, validate
from digitwin.kernel.repository.base import Repository
from digitwin.kernel.repository.entities import MAX_ROWS
from digitwin.kernel.repository.paging import Page, decode_cursor, encode_cursor
from digitwin.kernel.sql import actor
from digitwin.kernel.sql.queries import Queries

RETENTION: Final = timedelta(days=90)
MONTHS_AHEAD: Final = 3

_CENTURY = 100 * 366 * 86_400.0
_ALWAYS: Final = {"since": MIN_TIME, "until": MAX_TIME}
_TERMS: Final = {
    "since": "created_at >= :since",
    "until": "created_at < :until",
    "after": "id < :after",
}
"""Conditions of a page; every other filter is an equality."""
QUERIES = Queries(__package__, table="audit_logs")


class AuditLogRepository(Repository):
    """Audit records: who did what, and whom it concerns.

    Nothing changes a record: there is no method for it, and the database refuses it. Times are
    the database's: ``created_at`` is the start of the record's transaction.
    """

    def __init__(self, core: Core, sealing: SealingConfig | None = None) -> None:
        super().__init__(core)
        self._sealing = sealing or SealingConfig(Signers())

    @operation
    async def record(self, action: str, resource: str, **details: Unpack[Details]) -> UUID:
        """Add a record; part of the open transaction, if there is one.

        Args:
            action: what was done, such as ``user.restore``; at most 100 characters.
            resource: the kind of thing it was done to, at most 100 characters.
            **details: ``resource_id`` (at most 200 characters) says which one, ``actor_id`` who
                did it, ``user_id`` whom it concerns; ``result`` is success, failure or denied;
                ``ip_address`` is normalized, ``user_agent`` has at most 1,000 characters,
                ``metadata`` at most 1 MiB. The actor, address, client and request are those of
                ``db.acting_as`` if unset.

        Returns:
            The id of the record.

        Raises:
            InvalidInputError: names the invalid field.
        """
        row = self._row({"action": action, "resource": resource, **details})
        await self._core.db.execute(QUERIES["record"], **row)
        id: UUID = row["id"]
        return id

    @operation
    async def record_many(self, entries: Iterable[Entry]) -> builtins.list[UUID]:
        """Add up to 10,000 records, all or none.

        Returns:
            Their ids, in the order given.

        Raises:
            InvalidInputError: there are too many, or a field is invalid.
        """
        given = listed(entries, "entries", at_most=MAX_ROWS, of="entries")
        rows = [
            self._row(fields_of(entry, f"entries[{n}]", "entries")) for n, entry in enumerate(given)
        ]
        if rows:
            columns = {name: [row[name] for row in rows] for name in rows[0]}
            await self._core.db.execute(QUERIES["record_many"], **columns)
        return [row["id"] for row in rows]

    @operation
    async def list(
        self, *, limit: int = 50, after: str | None = None, **filters: Unpack[Filters]
    ) -> Page[AuditLog]:
        """Return a page of records, newest first.

        Args:
            limit: records per page, 1 to 1,000.
            after: the ``next_cursor`` of the previous page.
            **filters: equality on ``action``, ``resource``, ``resource_id``, ``actor_id``,
                ``user_id`` and ``result``; ``since`` (included) and ``until`` (excluded).
                None means no filter.

        Raises:
            InvalidInputError: an invalid limit, cursor or filter.
        """
        size = bounded(limit, "limit", at_least=1, at_most=1000)
        where, values = self._where(filters, None if after is None else decode_cursor(after))
        page = QUERIES.variant("page", where=where, limit=str(size + 1))
        found = await self._core.db.fetch(page, **values)
        items = [hydrate(AuditLog, record, self._core.origin) for record in found[:size]]
        return Page(items, encode_cursor(items[-1].id) if len(found) > size else None)

    @operation
    async def statistics(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> AuditStatistics:
        """Count records by action, result, user and day (UTC), from one snapshot.

        Args:
            since: the start of the period, included.
            until: its end, excluded.

        Raises:
            InvalidInputError: the period is invalid.
        """
        _, given = self._where({"since": since, "until": until})
        return add_up(await self._core.db.fetch(QUERIES["statistics"], **(_ALWAYS | given)))

    @streaming
    async def export(
        self, *, after: str | None = None, unsealed: bool = False, **period: Unpack[Period]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield every record of a period as a JSON-serializable dict, oldest first.

        Streams one snapshot in constant memory. ``until`` is excluded.

        Args:
            after: return only sealed records, in the order of their seals, after this
                ``cursor`` (``"0:0"``: from the beginning). Each dict has its own ``cursor``, to
                continue later without duplicates or gaps.
            unsealed: with ``after``, return unsealed records too, at the end; their ``cursor``
                is None.

        Raises:
            InvalidInputError: ``after`` is no cursor, or the period is invalid.
        """
        from digitwin.audit import exporting

        where, values = self._where(period)
        if after is not None:
            bounds = _ALWAYS | values
            rows = exporting.sealed(
                self._core.db, after, bounds["since"], bounds["until"], and_unsealed=unsealed
            )
            async with aclosing(rows):
                async for row in rows:
                    yield row
            return
        all_records = QUERIES.variant("all_records", where=where)
        async with aclosing(self._core.db.stream(all_records, **values)) as records:
            async for record in records:
                yield exporting.to_json(record)

    @operation
    async def verify(self) -> AuditVerification:
        """Check every record, seal and guard; reads the whole trail in constant memory.

        Reported are: records that were changed, removed, moved, or inserted into a time that was
        sealed; changed seals, and unsigned ones after signed ones; guards (triggers, their
        functions, CHECKs by their names) that are missing, disabled or not as the migrations made
        them; triggers and rules that others added to the trail; ids that this package did not
        create; records whose time is not their id's, or without a monthly partition; and a missing
        partition. Records without a seal are checked only in
        part. ``SECURITY.md`` describes which attacks need a key, or heads kept outside the
        database, to be found.

        Returns:
            What was checked, up to 1,000 faults, and notices, such as a clock that was ahead.
        """
        from digitwin.audit import verification

        return await verification.verify(self._core, self._sealing)

    @operation
    async def seal(self) -> int:
        """Seal all unsealed records, as ``maintain()`` and a background task do.

        Commits by itself, even inside a transaction. While another instance seals, or a person
        is being erased, it does nothing; nor, with an error in the log, while a seal that this
        process has seen is gone, or without a key after a signed seal.

        Returns:
            The number of records sealed.

        Raises:
            InvalidStateError: somebody inserted a seal with the last possible number.
        """
        return await sealing.seal(self._core, self._sealing)

    @operation
    async def purge(self, older_than: float | timedelta = RETENTION) -> int:
        """Remove records older than this by the database clock.

        They are sealed first, and archived if ``audit_archive`` is set. A signed checkpoint
        allows them to be missing, so that the rest still verifies. Commits by itself in short
        steps, even inside a transaction: whole months are dropped if no lock is in the way, the
        rest is deleted in batches of 1,000. Safe to run concurrently.

        Args:
            older_than: seconds or a ``timedelta``, at least 0.

        Returns:
            The number of records removed.

        Raises:
            InvalidInputError: ``older_than`` is invalid.
            ConfigurationError: the archive cannot be written; nothing was removed.
            InvalidStateError: the last checkpoint does not verify; nothing was removed.
        """
        from digitwin.audit import purging

        age = seconds(older_than, "older_than", at_least=0, at_most=_CENTURY)
        cutoff = await self._core.aside.fetchval(QUERIES["cutoff"], age=age)
        return await purging.purge(self._core, self._sealing, cutoff)

    @operation
    async def prepare(self, *, months: int = MONTHS_AHEAD) -> int:
        """Create missing partitions for this month and the next ones.

        Moves records that were written before their month had one. While another instance does
        it, or a lock is taken, it does nothing.

        Args:
            months: how many months after this one, 0 to 120.

        Returns:
            The number of partitions created.

        Raises:
            InvalidInputError: ``months`` is out of range.
        """
        ahead = bounded(months, "months", at_least=0, at_most=120)
        return await partitions.create_ahead(self._core, ahead)

    def _row(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Return an entry as the parameters of ``record``, with a new id."""
        who = actor.current()
        given: dict[str, Any] = validate(ENTRY, entry)
        given["user_id"] = self._owner(given.get("user_id")) or NOBODY
        given["id"] = uuid7()
        given.setdefault("result", "success")
        for name in ("actor_id", "ip_address", "user_agent"):
            given.setdefault(name, getattr(who, name))
        metadata = given.get("metadata") or {}
        if who.request_id is not None:
            metadata = {"request_id": who.request_id, **metadata}
        given["metadata"] = dumps(metadata)
        return {"resource_id": None, **given}

    def _where(
        self, filters: Mapping[str, Any], after: UUID | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Return the WHERE clause and its parameters."""
        given: dict[str, Any] = validate(FILTERS, dict(filters))
        given |= {"user_id": self._owner(given.get("user_id")), "after": after}
        values = {name: value for name, value in given.items() if value is not None}
        terms = " AND ".join(_TERMS.get(name, f"{name} = :{name}") for name in values)
        return f" WHERE {terms}" if terms else "", values
