"""Verifies the trail: guards and partitions, every record by itself, and the chain of seals.

It streams one snapshot of the trail in constant memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from digitwin.audit import guards, partitions
from digitwin.audit.chain_verification import ChainVerification, verify_chain
from digitwin.audit.faults import MAX_FAULTS, AuditFault, AuditVerification
from digitwin.audit.sealing import MAX_TIME, SealingConfig
from digitwin.kernel.execution.core import Core
from digitwin.kernel.sql.queries import Queries

TOLERANCE: Final = timedelta(hours=1)
"""How far a record's id and its ``created_at`` may differ: clocks differ by seconds, and the
database dates a record by the start of its transaction."""

QUERIES = Queries(__package__)


async def verify(core: Core, config: SealingConfig) -> AuditVerification:
    """Verify the whole trail. See :meth:`AuditLogRepository.verify`."""
    version: int | None = await core.db.fetchval(QUERIES["schema_version"])
    faults = await _faulty_tables(core, version)
    chain = await verify_chain(core.db, config)
    faults += chain.faults
    records = ahead = 0
    async with aclosing(core.db.stream(QUERIES["placed_records"])) as rows:
        async for row in rows:
            records += 1
            if _is_ahead(row, chain):
                ahead += 1
            elif len(faults) < MAX_FAULTS and (fault := _fault_of(row, chain.horizon)) is not None:
                faults.append(fault)
    known = guards.known_version()
    if version is not None and version > known:
        chain.notices.append(
            f"The schema's version {version} is newer than this package, which knows {known}: the"
            " guards were not compared with its migrations"
        )
    if ahead:
        chain.notices.append(
            f"Records dated later than their ids: {ahead:,}. The database's clock was ahead, or"
            " somebody else inserted them"
        )
    return AuditVerification(
        records,
        tuple(faults[:MAX_FAULTS]),
        sealed=chain.sealed,
        seals=chain.seals,
        erased=chain.erased,
        signatures=chain.signatures,
        notices=tuple(chain.notices),
    )


async def _faulty_tables(core: Core, version: int | None) -> list[AuditFault]:
    tables = await core.db.fetch(QUERIES["unguarded"])
    months = await partitions.missing(core, 0)
    changes = ["the schema's version is not recorded"]
    if version is not None:
        is_known = version <= guards.known_version()
        changes = await guards.differences(core, version) if is_known else []
    return [
        *(AuditFault("guard", f"{row[0]} has no guard against changes") for row in tables),
        *(AuditFault("guard", detail) for detail in changes),
        *(AuditFault("partition", f"{month.name} is missing") for month in months),
    ]


def _time_of(row: Mapping[str, Any]) -> datetime:
    """Return the time in a record's id."""
    return datetime.fromtimestamp(min((row["id"].int >> 80) / 1000, MAX_TIME.timestamp()), UTC)


def _is_ahead(row: Mapping[str, Any], chain: ChainVerification) -> bool:
    """Return whether the database's clock, when it dated this record, was ahead for a while.

    Such a record is dated after its own seal, after a seal that was made later, or after now.
    """
    if row["id"].version != 7 or row["created_at"] - _time_of(row) <= TOLERANCE:
        return False
    seal = row["seal"]
    return row["is_ahead"] or (seal is not None and chain.was_ahead(seal, row["created_at"]))


def _fault_of(row: Mapping[str, Any], horizon: datetime | None) -> AuditFault | None:
    """Check a record without its leaf.

    Args:
        row: of the query ``placed_records``.
        horizon: of the newest seal; every genuine record dated before it is sealed.
    """
    id, created_at = row["id"], row["created_at"]
    if id.version != 7:
        return AuditFault("id", "its id carries no time: this package did not create it", id)
    time = _time_of(row)
    if abs(time - created_at) > TOLERANCE:
        return AuditFault("time", f"its id is of {time:%F %T}, its row of {created_at:%F %T}", id)
    if row["is_unplaced"]:
        return AuditFault("unplaced", f"there is no partition for {time:%B %Y}", id)
    if horizon is not None and created_at < horizon and row["seal"] is None:
        return AuditFault("inserted", f"unsealed, but all of {created_at:%F %T} was sealed", id)
    return None
