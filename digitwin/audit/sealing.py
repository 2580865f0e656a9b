"""Seals records in batches, off the hot path, each seal linked to the one before.

Nobody who writes a record waits for its seal. A run seals every record that has no leaf, oldest
first, from the *horizon* on. The horizon is a time for which it is known that every transaction
begun before it had ended when the last run looked, so that all records of that time were visible
and are sealed.

A record becomes visible when its transaction commits, but is dated by the transaction's start.
The horizon therefore waits for open transactions, and a late commit is sealed with the next batch.
A record that appears dated before the horizon was not written by this package:
:mod:`digitwin.audit.verification` reports it as inserted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

from digitwin.audit import hash_chain
from digitwin.audit.checkpoints import CHUNK, CheckpointSink
from digitwin.audit.hash_chain import GENESIS, Checkpoint, Leaf, RootHash, Seal
from digitwin.audit.signing import Signers
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.kernel.sql.queries import Queries

BATCH: Final = 5000
"""Records of one seal at most: a fraction of a second, after which a waiting erasure may run."""

MIN_TIME: Final = datetime(1, 1, 2, tzinfo=UTC)
MAX_TIME: Final = datetime(9999, 12, 31, tzinfo=UTC)

_LEAF_COLUMNS: Final = tuple(field.name for field in fields(Leaf))
QUERIES = Queries(__package__)


@dataclass(frozen=True, slots=True)
class SealingConfig:
    """Who signs seals, where their heads are kept, and where removed records are archived."""

    signers: Signers
    sink: CheckpointSink | None = None
    archive: Path | None = None


class FetchesValue(Protocol):
    """A connection or executor that returns a single value."""

    async def fetchval(self, query: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class _OpenTransactions:
    """The transactions that were open when a run began."""

    at: datetime
    running: str
    prepared: bool

    def horizon(self, last: Mapping[str, Any] | None) -> datetime | None:
        """Return the latest time before which every transaction is known to have ended."""
        known: datetime | None = None if last is None else last["horizon"]
        if self.prepared:
            return known
        if not self.running:
            return max(self.at, known or self.at)
        if last is not None and not _ids(last["running"]) & _ids(self.running):
            # all that were open at the last seal have ended
            before: datetime = last["created_at"]
            return max(before, known or before)
        return known


async def seal(core: Core, config: SealingConfig, *, until: datetime | None = None) -> int:
    """Seal all unsealed records, one transaction per batch, whatever transaction is open.

    While another instance seals, or a person is being erased, it does nothing.

    Args:
        until: seal only records dated before it, including those that were committed late.

    Returns:
        The number of records sealed.
    """
    run = _SealingRun(core, config.signers, until)
    while await run.batch():
        pass
    if config.sink is not None:
        await _publish(core, config.sink)
    return run.records


async def oldest_unsealed(connection: FetchesValue) -> float:
    """Return the age in seconds of the oldest unsealed record; 0 if there is none."""
    age: float = await connection.fetchval(QUERIES["oldest_unsealed"].sql)
    return max(age, 0.0)


class _SealingRun:
    """Consecutive batches, all with the transactions that were open at the first."""

    def __init__(self, core: Core, signers: Signers, until: datetime | None) -> None:
        self._core = core
        self._signers = signers
        self._until = until
        self._open: _OpenTransactions | None = None
        self._number: int | None = None
        self._after: tuple[datetime, UUID] | None = None
        self.records = 0

    async def batch(self) -> bool:
        """Seal one batch, and return whether there may be more."""
        async with self._core.aside.transaction() as tx:
            begun = await tx.fetchrow(QUERIES["begin_sealing"])
            assert begun is not None
            if not begun["mine"]:
                return False
            last = await tx.fetchrow(QUERIES["last_seal"])
            if self._number is not None and (last is None or last["number"] != self._number):
                return False  # another instance has added a seal since the last batch
            if self._open is None:
                self._open = await _open_transactions(tx, begun["now"])
            rows = await self._unsealed(tx, last)
            if not rows and not (self._until is None and _moves_horizon(last, self._open)):
                return False
            await self._add(tx, last, rows)
        self.records += len(rows)
        return len(rows) == BATCH

    async def _unsealed(self, tx: Statements, last: Mapping[str, Any] | None) -> Sequence[Any]:
        horizon = MIN_TIME if last is None else last["horizon"] or MIN_TIME
        time, id = self._after or (MIN_TIME if self._until else horizon, NOBODY)
        after = {"after_time": time, "after_id": id}
        until = self._until or MAX_TIME
        rows = await tx.fetch(QUERIES["unsealed"], **after, until=until, limit=BATCH)
        if rows:
            self._after = rows[-1]["created_at"], rows[-1]["id"]
        return rows

    async def _add(
        self, tx: Statements, last: Mapping[str, Any] | None, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        assert self._open is not None
        number, previous = (last["number"], last["head"]) if last else (0, GENESIS)
        # an id can be there twice if somebody inserted it; one is sealed, verify reports the other
        records = list({row["id"]: row for row in rows}.values())
        leaves = await asyncio.to_thread(hash_chain.leaves_of, number + 1, records)
        horizon = None if last is None else last["horizon"]
        if len(rows) < BATCH and self._until is None:
            horizon = self._open.horizon(last)
        made = await self._signers.sign(
            Seal(
                number=number + 1,
                created_at=self._open.at,
                horizon=horizon,
                newest=max((leaf.created_at for leaf in leaves), default=None),
                records=len(leaves),
                root=RootHash(leaf.leaf for leaf in leaves).digest(),
                previous=previous,
            )
        )
        await _store(tx, made, leaves, self._open.running)
        self._number = made.number


async def _open_transactions(tx: Statements, now: datetime) -> _OpenTransactions:
    await tx.fetchval(QUERIES["settle"])
    row = await tx.fetchrow(QUERIES["running"])
    assert row is not None
    return _OpenTransactions(now, row["running"], row["prepared"])


def _moves_horizon(last: Mapping[str, Any] | None, now: _OpenTransactions) -> bool:
    """Whether an empty seal is needed: only now the time up to the last seal is complete."""
    if last is None or not last["records"] or (last["horizon"] or MIN_TIME) >= last["created_at"]:
        return False
    return bool((now.horizon(last) or MIN_TIME) >= last["created_at"])


def _ids(running: str) -> set[str]:
    return set(filter(None, running.split(",")))


async def _store(tx: Statements, made: Seal, leaves: Sequence[Leaf], running: str) -> None:
    await tx.execute(QUERIES["add_seal"], **asdict(made), running=running)
    if leaves:
        columns = {name: [getattr(leaf, name) for leaf in leaves] for name in _LEAF_COLUMNS}
        await tx.execute(QUERIES["add_leaves"], seal=made.number, **columns)


async def _publish(core: Core, sink: CheckpointSink) -> None:
    """Send the sink every seal it lacks, also those made while it could not be reached."""
    after = await sink.last()
    while seals := await seals_after(core.aside, after):
        await sink.append(seals)
        after = seals[-1].number


async def seals_after(on: Statements, number: int, limit: int = CHUNK) -> list[Seal]:
    """Return the next page of the chain."""
    rows = await on.fetch(QUERIES["seals_after"], after=number, limit=limit)
    return [Seal(**row) for row in rows]


async def last_checkpoint(on: Statements) -> Checkpoint | None:
    """Return the checkpoint at which the chain starts; None if nothing was removed."""
    row = await on.fetchrow(QUERIES["last_checkpoint"])
    return None if row is None else Checkpoint(**row)
