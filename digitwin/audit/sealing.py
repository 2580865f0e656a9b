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
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

from digitwin.audit import hash_chain
from digitwin.audit.checkpoints import CHUNK, CheckpointSink
from digitwin.audit.hash_chain import GENESIS, Checkpoint, Leaf, RootHash, Seal
from digitwin.audit.signing import Signers
from digitwin.errors import InvalidStateError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.kernel.sql.queries import Queries

BATCH: Final = 5000
"""Records of one seal at most: a fraction of a second, after which a waiting erasure may run."""

MAX_SEAL: Final = 10**15
"""The largest number of a seal; a CHECK refuses larger ones."""
MAX_UNSEALED: Final = 10_000
"""Up to how many records without a seal are counted."""

MIN_TIME: Final = datetime(1, 1, 2, tzinfo=UTC)
MAX_TIME: Final = datetime(9999, 12, 31, tzinfo=UTC)

_log = logging.getLogger("digitwin.audit")
_LEAF_COLUMNS: Final = tuple(column.name for column in fields(Leaf))
QUERIES = Queries(__package__)


@dataclass(slots=True)
class LastSeal:
    """The last seal that this process has seen: it cannot disappear, except by retention."""

    number: int = 0
    head: bytes = GENESIS

    async def remains(self, on: Statements, last: Mapping[str, Any] | None) -> bool:
        """Return whether the chain, which now ends with ``last``, still holds it."""
        if self.number == 0:
            return True
        if last is not None and last["number"] == self.number:
            return bool(last["head"] == self.head)
        row = await on.fetchrow(QUERIES["heads"], numbers=[self.number])
        if row is not None:
            return bool(row["head"] == self.head)
        checkpoint = await last_checkpoint(on)
        return checkpoint is not None and checkpoint.seal >= self.number


@dataclass(frozen=True, slots=True)
class SealingConfig:
    """Who signs seals, where their heads are kept, and where removed records are archived."""

    signers: Signers
    sink: CheckpointSink | None = None
    archive: Path | None = None
    seen: LastSeal = field(default_factory=LastSeal)


class FetchesRow(Protocol):
    """A connection or executor that returns a single row."""

    async def fetchrow(self, query: str, *args: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class _OpenTransactions:
    """The transactions that were open when a run began."""

    at: datetime
    running: str
    prepared: bool

    def horizon(self, last: Mapping[str, Any] | None) -> datetime | None:
        """Return the latest time before which every transaction is known to have ended."""
        known: datetime | None = None if last is None else last["known"]
        if self.prepared:
            return known
        if not self.running:
            return max(self.at, known or self.at)
        is_over = last is not None and not _ids(last["running"]) & _ids(self.running)
        if last is not None and is_over and last["created_at"] <= self.at:
            # all that were open at the last seal have ended
            before: datetime = last["created_at"]
            return max(before, known or before)
        return known


async def seal(core: Core, config: SealingConfig, *, until: datetime | None = None) -> int:
    """Seal all unsealed records, one transaction per batch, whatever transaction is open.

    While another instance seals, or a person is being erased, it does nothing; nor, with an
    error in the log, while the chain lacks a seal that this process has seen, or ends with a
    signed seal and there is no key: a seal would make a forged record genuine.

    Args:
        until: seal only records dated before it, including those that were committed late.

    Returns:
        The number of records sealed.

    Raises:
        InvalidStateError: the seals' numbers are used up, by seals that somebody else inserted.
    """
    run = _SealingRun(core, config, until)
    while await run.batch():
        pass
    if config.sink is not None:
        await _publish(core, config.sink)
    return run.records


async def unsealed(connection: FetchesRow) -> tuple[float, int]:
    """Return the age in seconds of the oldest unsealed record, and how many are unsealed."""
    seconds, records = await connection.fetchrow(QUERIES["oldest_unsealed"].sql, MAX_UNSEALED)
    return seconds, records


class _SealingRun:
    """Consecutive batches, all with the transactions that were open at the first."""

    def __init__(self, core: Core, config: SealingConfig, until: datetime | None) -> None:
        self._core = core
        self._config = config
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
            if not await self._may_follow(tx, last):
                return False
            if self._open is None:
                self._open = await _open_transactions(tx, begun["now"])
            rows = await self._unsealed(tx, last)
            if not rows and not (self._until is None and _moves_horizon(last, self._open)):
                return False
            made = await self._add(tx, last, rows)
        self._config.seen.number, self._config.seen.head = made.number, made.head
        self.records += len(rows)
        return len(rows) == BATCH

    async def _may_follow(self, tx: Statements, last: Mapping[str, Any] | None) -> bool:
        """Return whether a seal may be added; log why not."""
        seen = self._config.seen
        if not await seen.remains(tx, last):
            _log.error(
                "Seal %s of the audit trail is gone or was changed since this process saw it:"
                " nothing is sealed. `digitwin audit verify` shows more; if the database was"
                " restored from a backup, restart this process",
                seen.number,
            )
            return False
        if last is None:
            return True
        if last["key_id"] is not None and self._config.signers.current() is None:
            _log.error(
                "The audit trail is signed and this process has no key (DIGITWIN_AUDIT_KEY):"
                " it seals nothing"
            )
            return False
        if last["number"] >= MAX_SEAL:
            raise InvalidStateError(
                f"Seal {last['number']} leaves no number for the next one: somebody else inserted"
                " it. `digitwin audit verify` shows more; an administrator must remove it",
                seal=last["number"],
            )
        seen.number, seen.head = last["number"], last["head"]
        return True

    async def _unsealed(self, tx: Statements, last: Mapping[str, Any] | None) -> Sequence[Any]:
        horizon = MIN_TIME if last is None else last["known"] or MIN_TIME
        time, id = self._after or (MIN_TIME if self._until else horizon, NOBODY)
        after = {"after_time": time, "after_id": id}
        until = self._until or MAX_TIME
        rows = await tx.fetch(QUERIES["unsealed"], **after, until=until, limit=BATCH)
        if rows:
            self._after = rows[-1]["created_at"], rows[-1]["id"]
        return rows

    async def _add(
        self, tx: Statements, last: Mapping[str, Any] | None, rows: Sequence[Mapping[str, Any]]
    ) -> Seal:
        assert self._open is not None
        number, previous = (last["number"], last["head"]) if last else (0, GENESIS)
        # an id can be there twice if somebody inserted it; one is sealed, verify reports the other
        records = list({row["id"]: row for row in rows}.values())
        leaves = await asyncio.to_thread(hash_chain.leaves_of, number + 1, records)
        horizon = None if last is None else last["known"]
        if last is not None and horizon != last["horizon"]:
            _log.warning(
                "The database's clock was ahead when seal %s of the audit trail was made: the"
                " records since then are sealed now",
                number,
            )
        if len(rows) < BATCH and self._until is None:
            horizon = self._open.horizon(last)
        made = await self._config.signers.sign(
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
        return made


async def _open_transactions(tx: Statements, now: datetime) -> _OpenTransactions:
    await tx.fetchval(QUERIES["settle"])
    row = await tx.fetchrow(QUERIES["running"])
    assert row is not None
    return _OpenTransactions(now, row["running"], row["prepared"])


def _moves_horizon(last: Mapping[str, Any] | None, now: _OpenTransactions) -> bool:
    """Whether an empty seal is needed: only now the time up to the last seal is complete."""
    if last is None or not last["records"] or (last["known"] or MIN_TIME) >= last["created_at"]:
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
