"""Who did what, and to whom: a trail that is only ever added to."""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Unpack
from uuid import UUID

from digitwin.audit import chain, exporting, partitions, purging, sealing
from digitwin.audit.fields import ENTRY, FILTERS, Details, Entry, Filters
from digitwin.audit.models import AuditLog
from digitwin.audit.sealing import Sealing
from digitwin.audit.signing import Signers
from digitwin.audit.statistics import AuditStatistics, add_up
from digitwin.audit.verification import MAX_FAULTS, AuditFault, AuditVerification, examine
from digitwin.errors import InvalidInputError
from digitwin.kernel.execution.core import Core, operation, streaming
from digitwin.kernel.orm.hydration import hydrate
from digitwin.kernel.primitives.ids import NOBODY, uuid7
from digitwin.kernel.primitives.validation import Period, bounded, dumps, seconds, validate
from digitwin.kernel.repository.entities import MAX_ROWS, Repository
from digitwin.kernel.repository.paging import Page, decode_cursor, encode_cursor
from digitwin.kernel.sql import actor
from digitwin.kernel.sql.columns import columns
from digitwin.kernel.sql.queries import load

RETENTION: Final = timedelta(days=90)
MONTHS_AHEAD: Final = 3

_CENTURY = 100 * 366 * 86_400.0
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime(9999, 12, 31, tzinfo=UTC)
_COLUMNS = (
    *("user_id", "id", "action", "resource", "resource_id", "actor_id"),
    *("result", "ip_address", "user_agent", "metadata"),
)
"""In the order of the parameters of ``record``."""
_BOUNDS = {"since": "created_at >=", "until": "created_at <"}
_SQL = load(__package__)


class AuditLogRepository(Repository):
    """Records, found and counted, and forgotten when their time is over.

    There is no way to change one: no method here, and the database refuses it as well. Times
    are the database's: ``created_at`` is when the transaction of the record began.
    """

    def __init__(self, core: Core, sealing: Sealing | None = None) -> None:
        super().__init__(core)
        self._sealing = sealing or Sealing(Signers())

    @operation
    async def record(self, action: str, resource: str, **details: Unpack[Details]) -> UUID:
        """Add a record and give back its id; within a transaction, it stands or falls with it.

        Args:
            action: what was done, such as ``user.restore``; at most 100 characters.
            resource: to what kind of thing, and ``resource_id`` (at most 200) to which one.
            **details: ``actor_id`` did it, ``user_id`` is whom it concerns, ``result`` is
                success, failure or denied; ``ip_address`` is stored in its shortest spelling,
                ``user_agent`` has at most 1,000 characters, ``metadata`` at most 1 MiB. Who,
                from where and in which request comes from ``db.acting_as``, unless given.

        Raises:
            InvalidInputError: names the field that does not fit.
        """
        row = self._row({"action": action, "resource": resource, **details})
        await self._core.db.execute(_SQL["record"], *row)
        id: UUID = row[1]
        return id

    @operation
    async def record_many(self, entries: Iterable[Entry]) -> builtins.list[UUID]:
        """Add up to 10,000 records at once, all or none; their ids, in the order given."""
        rows = [self._row(entry) for entry in entries]
        if len(rows) > MAX_ROWS:
            raise InvalidInputError(
                f"entries: at most {MAX_ROWS:,} at once", field="entries", limit=MAX_ROWS
            )
        if rows:
            by_column = [list(column) for column in zip(*rows, strict=True)]
            await self._core.db.execute(_SQL["record_many"], *by_column)
        return [row[1] for row in rows]

    @operation
    async def list(
        self, *, limit: int = 50, after: str | None = None, **filters: Unpack[Filters]
    ) -> Page[AuditLog]:
        """A page of records, newest first.

        Args:
            limit: how many, 1 to 1,000.
            after: the ``next_cursor`` of the page before.
            **filters: equality on ``action``, ``resource``, ``resource_id``, ``actor_id``,
                ``user_id`` and ``result``; ``since`` (included) and ``until`` (not included).
                None asks for nothing.

        Raises:
            InvalidInputError: a limit, cursor or filter that does not fit.
        """
        size = bounded(limit, "limit", at_least=1, at_most=1000)
        where, values = self._where(filters, None if after is None else decode_cursor(after))
        found = await self._core.db.fetch(
            f"SELECT {columns(AuditLog)} FROM audit_logs{where} ORDER BY id DESC LIMIT {size + 1}",
            *values,
        )
        items = [hydrate(AuditLog, record, self._core.client) for record in found[:size]]
        return Page(items, encode_cursor(items[-1].id) if len(found) > size else None)

    @operation
    async def statistics(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> AuditStatistics:
        """Counts by action, result, user and day (UTC), of one moment; ``until`` is excluded."""
        period = validate(FILTERS, {"since": since, "until": until})
        bounds = (period.get("since") or _BEGINNING, period.get("until") or _END)
        return add_up(await self._core.db.fetch(_SQL["statistics"], *bounds))

    @streaming
    async def export(
        self, *, after: str | None = None, unsealed: bool = False, **period: Unpack[Period]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Every record of a period as a dict fit for JSON, oldest first, in constant memory.

        What is recorded meanwhile is not seen. ``until`` is excluded.

        Args:
            after: only what is sealed, in the order of the seals, from behind this ``cursor``
                on (``"0:0"``: from the beginning). Each dict has its own, to go on after a
                break without doubles or gaps.
            unsealed: with ``after``, at the end also what no seal holds yet; its ``cursor`` is
                None.

        Raises:
            InvalidInputError: ``after`` is no cursor, or the period does not fit.
        """
        where, values = self._where(period)
        if after is not None:
            bounds = period.get("since") or sealing.LONG_AGO, period.get("until") or sealing.EVER
            rows = exporting.sealed(self._core.db, after, *bounds, and_unsealed=unsealed)
            async with aclosing(rows):
                async for row in rows:
                    yield row
            return
        sql = f"SELECT {columns(AuditLog)} FROM audit_logs{where} ORDER BY id"
        async with aclosing(self._core.db.stream(sql, *values)) as records:
            async for record in records:
                yield exporting.plain(record)

    @operation
    async def verify(self) -> AuditVerification:
        """Look at every record, seal and guard, in constant memory; reads the whole trail.

        Found are a record that was changed, removed, moved, or inserted into a time that is
        sealed, and a seal that was; a guard that is missing or switched off, an id that was not
        made here, a record whose time is not its id's, one no partition took in, and a month
        without a partition. What nobody has sealed yet shows a part of that. ``SECURITY.md``
        says against whom it protects, and what it takes: a key, and heads kept outside.
        """
        faults = await self._faulty_guards()
        found = await chain.examine(self._core.db, self._sealing)
        faults += found.faults
        horizon = None if found.newest is None else found.newest.horizon
        records = 0
        async with aclosing(self._core.db.stream(_SQL["placed_records"])) as placed:
            async for record in placed:
                records += 1
                if len(faults) < MAX_FAULTS and (fault := examine(record, horizon)) is not None:
                    faults.append(fault)
        return AuditVerification(
            records,
            tuple(faults[:MAX_FAULTS]),
            sealed=found.sealed,
            seals=found.seals,
            erased=found.erased,
            signatures=found.signatures,
        )

    @operation
    async def seal(self) -> int:
        """Seal what has no seal yet; how many records. ``maintain()`` and the background do.

        Commits by itself, whatever transaction is open. When another instance is at it, or a
        person is being erased, it is left to the next time.
        """
        return await sealing.seal(self._core, self._sealing)

    @operation
    async def purge(self, older_than: float | timedelta = RETENTION) -> int:
        """Forget the records older than this by the database clock; how many there were.

        They are sealed first, and archived where ``audit_archive`` is set; a signed checkpoint
        says that they may be gone, so that the rest still verifies. Commits by itself in short
        steps, whatever transaction is open: months that are over are dropped when nobody is in
        the way, the rest goes in batches of 1,000. Several instances may do it at once.
        """
        age = seconds(older_than, "older_than", at_least=0, at_most=_CENTURY)
        cutoff = await self._core.aside.fetchval(_SQL["cutoff"], age)
        return await purging.purge(self._core, self._sealing, cutoff)

    @operation
    async def prepare(self, *, months: int = MONTHS_AHEAD) -> int:
        """Make sure that this month and so many after it have partitions; how many were made.

        Records that came before their month had one move there. When another instance is at
        it, or the trail is busy, it is left to the next time.
        """
        ahead = bounded(months, "months", at_least=0, at_most=120)
        return await partitions.create_ahead(self._core, ahead)

    async def _faulty_guards(self) -> builtins.list[AuditFault]:
        tables = await self._core.db.fetch(_SQL["unguarded"])
        months = await partitions.missing(self._core, 0)
        return [
            *(AuditFault("guard", f"{row[0]} has no guard against changes") for row in tables),
            *(AuditFault("partition", f"{month.name} is missing") for month in months),
        ]

    def _row(self, entry: Mapping[str, Any]) -> tuple[Any, ...]:
        """An entry as the parameters of ``record``, with an id of its own."""
        who = actor.current()
        given: dict[str, Any] = validate(ENTRY, dict(entry))
        given["user_id"] = self._owner(given.get("user_id")) or NOBODY
        given["id"] = uuid7()
        given.setdefault("result", "success")
        for name in ("actor_id", "ip_address", "user_agent"):
            given.setdefault(name, getattr(who, name))
        metadata = given.get("metadata") or {}
        if who.request_id is not None:
            metadata = {"request_id": who.request_id, **metadata}
        given["metadata"] = dumps(metadata)
        return tuple(given.get(name) for name in _COLUMNS)

    def _where(
        self, filters: Mapping[str, Any], after: UUID | None = None
    ) -> tuple[str, builtins.list[Any]]:
        """The conditions, and the values they refer to."""
        given: dict[str, Any] = validate(FILTERS, dict(filters))
        given["user_id"] = self._owner(given.get("user_id"))
        asked = {name: value for name, value in given.items() if value is not None}
        terms = [_BOUNDS.get(name, f"{name} =") for name in asked]
        values = list(asked.values())
        if after is not None:
            terms.append("id <")
            values.append(after)
        conditions = " AND ".join(f"{term} ${n}" for n, term in enumerate(terms, 1))
        return f" WHERE {conditions}" if conditions else "", values
