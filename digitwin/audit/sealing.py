"""Records sealed off the hot path: in batches, each bound to the one before.

Nobody who records waits for it, and no record knows of it. A run takes every record that has
no leaf yet, oldest first. Which those are is found from the *horizon*: a time of which it is
known that every transaction begun before it had ended when the last run looked, so that all
their records were there to be sealed. A record shows itself with its transaction's commit,
dated by the transaction's beginning; the horizon therefore waits for whoever is still open,
and a late commit joins the next batch. What turns up dated before the horizon cannot have been
recorded then: :mod:`digitwin.audit.chain` says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

from digitwin.audit import hash_chain
from digitwin.audit.checkpoints import CHUNK, CheckpointSink
from digitwin.audit.hash_chain import NOTHING, Checkpoint, Leaf, Seal
from digitwin.audit.signing import Signers
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.kernel.sql.queries import load

BATCH: Final = 5000
"""Records under one seal at most: a fraction of a second, after which erasures may pass."""

EVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
LONG_AGO: Final = datetime(1, 1, 2, tzinfo=UTC)

_SQL = load(__package__)


@dataclass(frozen=True, slots=True)
class Sealing:
    """Who signs, where heads are kept outside, and where records go before they are removed."""

    signers: Signers
    sink: CheckpointSink | None = None
    archive: Path | None = None


class Asking(Protocol):
    """A connection that can be asked for a value."""

    async def fetchval(self, query: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class _Moment:
    """When a run began, and which transactions were open then."""

    at: datetime
    running: str
    prepared: bool

    def horizon(self, last: Mapping[str, Any] | None) -> datetime | None:
        """The latest time of which all transactions had ended, as far as can be told now."""
        known: datetime | None = None if last is None else last["horizon"]
        if self.prepared:
            return known
        if not self.running:
            return max(self.at, known or self.at)
        if last is not None and not _among(last["running"]) & _among(self.running):
            before: datetime = last["created_at"]
            return max(before, known or before)
        return known


async def seal(core: Core, sealing: Sealing, *, until: datetime | None = None) -> int:
    """Seal what has no seal yet; how many records. Commits by itself, one batch at a time.

    When another instance is at it, or an erasure is, it is left to the next time.

    Args:
        until: seal what is dated before it instead, however late it turned up.
    """
    run = _Run(core, sealing.signers, until)
    while await run.batch():
        pass
    if sealing.sink is not None:
        await _publish(core, sealing.sink)
    return run.records


async def oldest_unsealed(connection: Asking) -> float:
    """How many seconds ago the oldest record came that no seal holds yet; 0 when all are."""
    age: float = await connection.fetchval(_SQL["oldest_unsealed"])
    return max(age, 0.0)


class _Run:
    """Batches one after the other, from one look at who is open."""

    def __init__(self, core: Core, signers: Signers, until: datetime | None) -> None:
        self._core = core
        self._signers = signers
        self._until = until
        self._moment: _Moment | None = None
        self._number: int | None = None
        self._after: tuple[datetime, UUID] | None = None
        self.records = 0

    async def batch(self) -> bool:
        """One batch; whether there may be more."""
        async with self._core.aside.transaction() as tx:
            begun = await tx.fetchrow(_SQL["begin_sealing"])
            assert begun is not None
            if not begun["mine"]:
                return False
            last = await tx.fetchrow(_SQL["last_seal"])
            if self._number is not None and (last is None or last["number"] != self._number):
                return False  # another instance has gone on in between
            if self._moment is None:
                self._moment = await _look(tx, begun["now"])
            rows = await self._unsealed(tx, last)
            if not rows and not (self._until is None and _is_unsettled(last, self._moment)):
                return False
            await self._add(tx, last, rows)
        self.records += len(rows)
        return len(rows) == BATCH

    async def _unsealed(self, tx: Statements, last: Mapping[str, Any] | None) -> Sequence[Any]:
        horizon = LONG_AGO if last is None else last["horizon"] or LONG_AGO
        start = (LONG_AGO if self._until else horizon, NOBODY)
        rows = await tx.fetch(_SQL["unsealed"], *(self._after or start), self._until or EVER, BATCH)
        if rows:
            self._after = rows[-1]["created_at"], rows[-1]["id"]
        return rows

    async def _add(
        self, tx: Statements, last: Mapping[str, Any] | None, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        assert self._moment is not None
        number, previous = (last["number"], last["head"]) if last else (0, NOTHING)
        # an id may be there twice, where somebody has put it there: one is sealed, verify tells
        records = list({row["id"]: row for row in rows}.values())
        leaves = await asyncio.to_thread(hash_chain.leaves_of, number + 1, records)
        horizon = None if last is None else last["horizon"]
        if len(rows) < BATCH and self._until is None:
            horizon = self._moment.horizon(last)
        made = await self._signers.sign(
            Seal(
                number=number + 1,
                created_at=self._moment.at,
                horizon=horizon,
                newest=max((leaf.created_at for leaf in leaves), default=None),
                records=len(leaves),
                root=hash_chain.root(leaf.leaf for leaf in leaves),
                previous=previous,
            )
        )
        await _store(tx, made, leaves, self._moment.running)
        self._number = made.number


async def _look(tx: Statements, now: datetime) -> _Moment:
    await tx.fetchval(_SQL["settle"])
    row = await tx.fetchrow(_SQL["running"])
    assert row is not None
    return _Moment(now, row["running"], row["prepared"])


def _is_unsettled(last: Mapping[str, Any] | None, moment: _Moment) -> bool:
    """Whether it can be said only now that nothing may come under the last seal any more."""
    if last is None or not last["records"] or (last["horizon"] or LONG_AGO) >= last["created_at"]:
        return False
    return bool((moment.horizon(last) or LONG_AGO) >= last["created_at"])


def _among(running: str) -> set[str]:
    return set(filter(None, running.split(",")))


async def _store(tx: Statements, made: Seal, leaves: Sequence[Leaf], running: str) -> None:
    await tx.execute(
        _SQL["add_seal"],
        *(made.number, made.created_at, made.horizon, made.newest, made.records),
        *(made.root, made.previous, made.head, made.key_id, made.algorithm, made.signature),
        running,
    )
    if leaves:
        await tx.execute(
            _SQL["add_leaves"],
            made.number,
            [leaf.place for leaf in leaves],
            [leaf.record_id for leaf in leaves],
            [leaf.created_at for leaf in leaves],
            [leaf.content for leaf in leaves],
            [leaf.leaf for leaf in leaves],
            [leaf.commitments for leaf in leaves],
            [leaf.salts for leaf in leaves],
        )


async def _publish(core: Core, sink: CheckpointSink) -> None:
    """Whatever the sink does not have yet, also what was sealed when it could not be reached."""
    after = await sink.last()
    while seals := await seals_after(core.aside, after):
        await sink.append(seals)
        after = seals[-1].number


async def seals_after(on: Statements, number: int, limit: int = CHUNK) -> list[Seal]:
    """The next pieces of the chain."""
    return [Seal(**row) for row in await on.fetch(_SQL["seals_after"], number, limit)]


async def last_checkpoint(on: Statements) -> Checkpoint | None:
    """Where the chain begins, where something was removed."""
    row = await on.fetchrow(_SQL["last_checkpoint"])
    return None if row is None else Checkpoint(**row)
