"""The trail beside its seals: every record compared with its leaf, every seal with the next.

In constant memory, of one moment. A record is named wherever its leaf still stands; whoever
makes up leaves as well is found by the seal over them, and whoever makes up seals by their
signatures, or by what was written of them outside the database.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from digitwin.audit import hash_chain
from digitwin.audit.checkpoints import CHUNK, CheckpointSink
from digitwin.audit.hash_chain import NOTHING, Checkpoint, Root, Seal
from digitwin.audit.sealing import LONG_AGO, Sealing, last_checkpoint, seals_after
from digitwin.audit.verification import MAX_FAULTS, AuditFault, Kind
from digitwin.kernel.execution.executor import Executor
from digitwin.kernel.sql.queries import load

SWAPS: Final = 64
"""Changed records that are compared with each other, whether one stands in another's place."""
ATTEMPTS: Final = 3
"""How often a look is taken again when something was lawfully removed during it."""

_SQL = load(__package__)


@dataclass(slots=True)
class Findings:
    """What a look at the chain has found so far."""

    faults: list[AuditFault] = field(default_factory=list)
    sealed: int = 0
    seals: int = 0
    erased: int = 0
    newest: Seal | None = None
    standings: set[str] = field(default_factory=set)
    changed: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def told(self) -> tuple[int, int]:
        """Grows with each fault."""
        return len(self.faults), len(self.changed)

    @property
    def signatures(self) -> Literal["checked", "unchecked", "none"]:
        """What was made of the signatures."""
        if self.standings <= {"unsigned"}:
            return "none"
        return "checked" if self.standings & {"signed", "forged"} else "unchecked"

    def add(self, kind: Kind, detail: str, record_id: UUID | None = None) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(AuditFault(kind, detail, record_id))


async def examine(on: Executor, sealing: Sealing) -> Findings:
    """Compare every sealed record and every seal."""
    for _ in range(ATTEMPTS):
        checkpoint = await last_checkpoint(on)
        found = await _Look(on, sealing, checkpoint).findings()
        if await last_checkpoint(on) == checkpoint:
            break
    return found


class _Look:
    """One look, from one checkpoint."""

    def __init__(self, on: Executor, sealing: Sealing, checkpoint: Checkpoint | None) -> None:
        self._on = on
        self._signers = sealing.signers
        self._sink = sealing.sink
        self._checkpoint = checkpoint
        self._first = 0 if checkpoint is None else checkpoint.seal
        self._removed_before = LONG_AGO if checkpoint is None else checkpoint.removed_before
        self._head = NOTHING if checkpoint is None else checkpoint.seal_head
        self._found = Findings()

    async def findings(self) -> Findings:
        if self._checkpoint is not None:
            await self._signed(self._checkpoint, f"checkpoint {self._checkpoint.number}")
        last = await self._on.fetchrow(_SQL["last_seal"])
        upto = self._first if last is None else last["number"]
        leaves = self._on.stream(_SQL["leaves_with_records"], self._first, upto)
        async with aclosing(leaves), aclosing(self._seals(upto)) as seals:
            rows = _Rows(leaves)
            async for seal in seals:
                await self._seal(seal)
                await self._leaves(seal, rows)
                self._found.newest = seal
        self._tell_moved()
        self._tell_unsigned()
        if self._sink is not None:
            await self._outside(self._sink, upto)
        return self._found

    async def _seals(self, upto: int) -> AsyncGenerator[Seal, None]:
        at = self._first
        while at < upto and (some := await seals_after(self._on, at)):
            for seal in some:
                if seal.number <= upto:
                    yield seal
            at = some[-1].number

    async def _seal(self, seal: Seal) -> None:
        before = self._first if self._found.newest is None else self._found.newest.number
        if seal.number != before + 1:
            gone = f"seal {before + 1}" + (f" to {seal.number - 1}" * (seal.number > before + 2))
            self._found.add("chain", f"{gone}: gone, and no checkpoint says so")
        elif seal.previous != self._head:
            self._found.add("chain", f"seal {seal.number} does not follow the one before it")
        await self._signed(seal, f"seal {seal.number}")
        self._head = seal.head
        self._found.seals += 1

    async def _signed(self, made: Seal | Checkpoint, what: str) -> None:
        if made.digest() != made.head:
            self._found.add("seal", f"{what} says something else than when it was made")
            return
        standing = await self._signers.standing(made)
        self._found.standings.add(standing)
        if standing == "forged":
            self._found.add("signature", f"{what}: its signature does not hold")
        elif standing == "unknown" and self._signers.known():
            self._found.add("signature", f"{what}: signed with {made.key_id}, which is not here")

    async def _leaves(self, seal: Seal, rows: _Rows) -> None:
        root, places, place, before = Root(), 0, 0, self._found.told
        async for row in rows.of(seal.number):
            if row["place"] == place:
                self._found.add("inserted", "another record has its id", row["record_id"])
                continue
            place, places = row["place"], places + 1
            root.add(row["leaf"])
            self._leaf(seal, row)
        self._found.sealed += places
        if self._found.told != before:
            return  # they say more than the seal could
        if places != seal.records:
            said = f"seal {seal.number} is over {seal.records:,} records, and {places:,} are there"
            self._found.add("seal", said)
        elif root.over(()) != seal.root:
            self._found.add("seal", f"what seal {seal.number} holds of its records was changed")

    def _leaf(self, seal: Seal, row: Mapping[str, Any]) -> None:
        """One record and its leaf; the rows of ``leaves_with_records``."""
        id, dated = row["record_id"], row["dated"]
        fixed = hash_chain.leaf(seal.number, row["place"], id, dated, row["content"]) == row["leaf"]
        if row["id"] is None:
            if not fixed or dated >= self._removed_before:
                self._found.add("removed", f"the record of {dated:%F %T} is gone", id)
            return
        erased = hash_chain.is_erased(row, row["salts"])
        self._found.erased += erased is not None
        if not _says_the_same(row) or erased is False:
            self._changed(row)
        elif not fixed:
            self._found.add("reordered", f"it is not in its place in seal {seal.number}", id)
        elif dated < self._horizon():
            late = f"of {dated:%F %T}, and sealed when all of that time had been"
            self._found.add("inserted", late, id)

    def _horizon(self) -> datetime:
        before = self._found.newest
        return LONG_AGO if before is None else before.horizon or LONG_AGO

    def _changed(self, row: Mapping[str, Any]) -> None:
        if len(self._found.changed) < SWAPS:
            self._found.changed.append(row)
        else:
            self._found.add("changed", "it is not what was sealed", row["record_id"])

    def _tell_moved(self) -> None:
        """Of records that are not what was sealed, those that stand in each other's place."""
        for row in self._found.changed:
            id = row["record_id"]
            others = (other for other in self._found.changed if other is not row)
            if any(_stands_for(row, other) or _stands_for(other, row) for other in others):
                self._found.add("reordered", "it and another have changed places", id)
            else:
                self._found.add("changed", "it is not what was sealed", id)

    def _tell_unsigned(self) -> None:
        """Unsigned seals under a signed one stand by it; after it, with a key, they do not."""
        ends = {"seal": self._found.newest, "checkpoint": self._checkpoint}
        for what, made in ends.items():
            if made is not None and made.signature is None and self._signers.known():
                said = f"{what} {made.number} is unsigned, though there is a key"
                self._found.add("signature", said)

    async def _outside(self, sink: CheckpointSink, upto: int) -> None:
        """What was written of the chain where the database's administrators cannot write."""
        told = 0
        async with aclosing(sink.read()) as heads:
            some: dict[int, bytes] = {}
            async for number, head in heads:
                told += 1
                if number == self._first and self._checkpoint is not None:
                    self._compared(number, head, self._checkpoint.seal_head)
                elif number > self._first:
                    some[number] = head
                if len(some) == CHUNK:
                    await self._compare(some)
                    some = {}
            await self._compare(some)
        if not told and upto:
            self._found.add("checkpoint", "nothing of the chain was written outside the database")

    async def _compare(self, told: Mapping[int, bytes]) -> None:
        there = {row[0]: row[1] for row in await self._on.fetch(_SQL["heads"], list(told))}
        for number, head in told.items():
            self._compared(number, head, there.get(number))

    def _compared(self, number: int, told: bytes, there: bytes | None) -> None:
        if there is None:
            self._found.add("checkpoint", f"seal {number} was written outside, and is gone here")
        elif told != there:
            self._found.add("checkpoint", f"seal {number} is another than was written outside")


class _Rows:
    """Rows in the order of their seals, taken seal by seal."""

    def __init__(self, rows: AsyncGenerator[Mapping[str, Any], None]) -> None:
        self._rows = rows
        self._ahead: Mapping[str, Any] | None = None

    async def of(self, seal: int) -> AsyncGenerator[Mapping[str, Any], None]:
        """This seal's; those of seals before it, which are gone, are passed over."""
        while (row := self._ahead or await anext(self._rows, None)) is not None:
            self._ahead = row
            if row["seal"] > seal:
                return
            self._ahead = None
            if row["seal"] == seal:
                yield row


def _says_the_same(row: Mapping[str, Any]) -> bool:
    committed = hash_chain.commitments(row, row["salts"], row["commitments"])
    said = hash_chain.content(row, committed), committed, row["created_at"]
    return said == (row["content"], row["commitments"], row["dated"])


def _stands_for(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether a record says what was sealed of another one."""
    committed = hash_chain.commitments(row, other["salts"], other["commitments"])
    return bool(hash_chain.content(row, committed) == other["content"])
