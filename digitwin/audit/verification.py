"""Verifies the trail: guards and partitions, every record against its leaf, every seal.

It streams one snapshot of the trail in constant memory. A changed, removed, inserted or moved
record is named as long as its leaf is genuine. Forged leaves show in their seal's root, forged
seals in their signatures, and seals forged with the key in the heads that are kept outside the
database.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from digitwin.audit import hash_chain, partitions
from digitwin.audit.checkpoints import CHUNK, CheckpointSink
from digitwin.audit.faults import MAX_FAULTS, AuditFault, AuditVerification, FaultList
from digitwin.audit.hash_chain import GENESIS, Checkpoint, RootHash, Seal
from digitwin.audit.sealing import MIN_TIME, SealingConfig, last_checkpoint, seals_after
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.executor import Executor
from digitwin.kernel.sql.queries import Queries

MAX_COMPARED: Final = 64
"""Changed records that are compared pairwise, to find those that were swapped."""
ATTEMPTS: Final = 3
"""How often the chain is read again because a purge removed a part of it meanwhile."""
TOLERANCE: Final = timedelta(hours=1)
"""How far a record's id and its ``created_at`` may differ: clocks differ by seconds, and the
database dates a record by the start of its transaction."""

QUERIES = Queries(__package__)


async def verify(core: Core, config: SealingConfig) -> AuditVerification:
    """Verify the whole trail. See :meth:`AuditLogRepository.verify`."""
    faults = await _faulty_tables(core)
    chain = await verify_chain(core.db, config)
    faults += chain.faults
    horizon = None if chain.newest is None else chain.newest.horizon
    records = 0
    async with aclosing(core.db.stream(QUERIES["placed_records"])) as rows:
        async for row in rows:
            records += 1
            if len(faults) < MAX_FAULTS and (fault := check_record(row, horizon)) is not None:
                faults.append(fault)
    return AuditVerification(
        records,
        tuple(faults[:MAX_FAULTS]),
        sealed=chain.sealed,
        seals=chain.seals,
        erased=chain.erased,
        signatures=chain.signatures,
    )


async def _faulty_tables(core: Core) -> list[AuditFault]:
    tables = await core.db.fetch(QUERIES["unguarded"])
    months = await partitions.missing(core, 0)
    return [
        *(AuditFault("guard", f"{row[0]} has no guard against changes") for row in tables),
        *(AuditFault("partition", f"{month.name} is missing") for month in months),
    ]


def check_record(row: Mapping[str, Any], horizon: datetime | None = None) -> AuditFault | None:
    """Check a record without its seal.

    Args:
        row: of the query ``placed_records``.
        horizon: of the newest seal; every genuine record dated before it is sealed.
    """
    id, created_at = row["id"], row["created_at"]
    if id.version != 7:
        return AuditFault("id", "its id carries no time: this package did not create it", id)
    time = datetime.fromtimestamp((id.int >> 80) / 1000, UTC)
    if abs(time - created_at) > TOLERANCE:
        return AuditFault("time", f"its id is of {time:%F %T}, its row of {created_at:%F %T}", id)
    if row["is_unplaced"]:
        return AuditFault("unplaced", f"there is no partition for {time:%B %Y}", id)
    if horizon is not None and created_at < horizon and not row["is_sealed"]:
        return AuditFault("inserted", f"unsealed, but all of {created_at:%F %T} was sealed", id)
    return None


@dataclass(slots=True)
class ChainVerification(FaultList):
    """What one reading of the chain found."""

    sealed: int = 0
    seals: int = 0
    erased: int = 0
    newest: Seal | None = None
    changed: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def fault_count(self) -> int:
        return len(self.faults) + len(self.changed)


async def verify_chain(on: Executor, config: SealingConfig) -> ChainVerification:
    """Verify every sealed record and every seal."""
    for _ in range(ATTEMPTS):
        checkpoint = await last_checkpoint(on)
        found = await _ChainVerifier(on, config, checkpoint).run()
        if await last_checkpoint(on) == checkpoint:
            break
    return found


class _ChainVerifier:
    """One reading of the chain, from one checkpoint on."""

    def __init__(self, on: Executor, config: SealingConfig, checkpoint: Checkpoint | None) -> None:
        self._on = on
        self._signers = config.signers
        self._sink = config.sink
        self._checkpoint = checkpoint
        self._first = 0 if checkpoint is None else checkpoint.seal
        self._removed_before = MIN_TIME if checkpoint is None else checkpoint.removed_before
        self._head = GENESIS if checkpoint is None else checkpoint.seal_head
        self._found = ChainVerification()

    async def run(self) -> ChainVerification:
        if self._checkpoint is not None:
            await self._check_signature(self._checkpoint, f"checkpoint {self._checkpoint.number}")
        last = await self._on.fetchrow(QUERIES["last_seal"])
        upto = self._first if last is None else last["number"]
        leaves = self._on.stream(QUERIES["leaves_with_records"], after=self._first, upto=upto)
        async with aclosing(leaves), aclosing(self._seals(upto)) as seals:
            reader = _LeafReader(leaves)
            async for seal in seals:
                await self._check_seal(seal)
                await self._check_leaves(seal, reader)
                self._found.newest = seal
        self._report_changed()
        self._report_unsigned()
        if self._sink is not None:
            await self._compare_with_sink(self._sink, upto)
        return self._found

    async def _seals(self, upto: int) -> AsyncGenerator[Seal, None]:
        at = self._first
        while at < upto and (page := await seals_after(self._on, at)):
            for seal in page:
                if seal.number <= upto:
                    yield seal
            at = page[-1].number

    async def _check_seal(self, seal: Seal) -> None:
        before = self._first if self._found.newest is None else self._found.newest.number
        if seal.number != before + 1:
            gone = f"seal {before + 1}" + (f" to {seal.number - 1}" * (seal.number > before + 2))
            self._found.add("chain", f"{gone}: missing, and not covered by a checkpoint")
        elif seal.previous != self._head:
            self._found.add("chain", f"seal {seal.number} is not linked to the one before it")
        await self._check_signature(seal, f"seal {seal.number}")
        self._head = seal.head
        self._found.seals += 1

    async def _check_signature(self, made: Seal | Checkpoint, name: str) -> None:
        if made.digest() != made.head:
            self._found.add("seal", f"{name} was changed: its head does not match")
            return
        status = await self._signers.status(made)
        self._found.statuses.add(status)
        if status == "invalid":
            self._found.add("signature", f"{name}: its signature is invalid")
        elif status == "unknown_key" and self._signers.known():
            self._found.add("signature", f"{name}: signed with {made.key_id}, which is not known")

    async def _check_leaves(self, seal: Seal, reader: _LeafReader) -> None:
        root, leaves, place, faults = RootHash(), 0, 0, self._found.fault_count
        async for row in reader.of(seal.number):
            if row["place"] == place:
                self._found.add("inserted", "another record has its id", row["record_id"])
                continue
            place, leaves = row["place"], leaves + 1
            root.add(row["leaf"])
            self._check_leaf(seal, row)
        self._found.sealed += leaves
        if self._found.fault_count != faults:
            return  # the records' faults are more precise than the seal's would be
        if leaves != seal.records:
            counts = f"over {seal.records:,} records, and {leaves:,} are there"
            self._found.add("seal", f"seal {seal.number} is {counts}")
        elif root.digest() != seal.root:
            self._found.add("seal", f"the leaves of seal {seal.number} were changed")

    def _check_leaf(self, seal: Seal, row: Mapping[str, Any]) -> None:
        """Compare a record with its leaf; both are a row of ``leaves_with_records``."""
        id, dated = row["record_id"], row["dated"]
        digest = hash_chain.leaf(seal.number, row["place"], id, dated, row["content"])
        is_genuine = digest == row["leaf"]
        if row["id"] is None:
            if not is_genuine or dated >= self._removed_before:
                self._found.add("removed", f"the record of {dated:%F %T} is missing", id)
            return
        erased = hash_chain.is_erased(row, row["salts"])
        self._found.erased += erased is not None
        if erased is False or not _is_unchanged(row):
            self._add_changed(row)
        elif not is_genuine:
            self._found.add("reordered", f"it is not in its place in seal {seal.number}", id)
        elif dated < self._horizon():
            self._found.add("inserted", f"of {dated:%F %T}, which was sealed before", id)

    def _horizon(self) -> datetime:
        before = self._found.newest
        return MIN_TIME if before is None else before.horizon or MIN_TIME

    def _add_changed(self, row: Mapping[str, Any]) -> None:
        if len(self._found.changed) < MAX_COMPARED:
            self._found.changed.append(row)
        else:
            self._found.add("changed", "it differs from what was sealed", row["record_id"])

    def _report_changed(self) -> None:
        """Report changed records, those that were swapped with another one as reordered."""
        for row in self._found.changed:
            id = row["record_id"]
            others = (other for other in self._found.changed if other is not row)
            if any(_is_swapped(row, other) or _is_swapped(other, row) for other in others):
                self._found.add("reordered", "it was swapped with another record", id)
            else:
                self._found.add("changed", "it differs from what was sealed", id)

    def _report_unsigned(self) -> None:
        """Report a chain that ends unsigned although there is a key.

        Unsigned seals before a signed one are protected by it: its head depends on theirs.
        """
        ends = {"seal": self._found.newest, "checkpoint": self._checkpoint}
        for name, made in ends.items():
            if made is not None and made.signature is None and self._signers.known():
                detail = f"{name} {made.number} is unsigned, although there is a key"
                self._found.add("signature", detail)

    async def _compare_with_sink(self, sink: CheckpointSink, upto: int) -> None:
        """Compare the chain with the heads kept where database administrators cannot write."""
        count = 0
        async with aclosing(sink.read()) as heads:
            page: dict[int, bytes] = {}
            async for number, head in heads:
                count += 1
                if number == self._first and self._checkpoint is not None:
                    self._compare_head(number, head, self._checkpoint.seal_head)
                elif number > self._first:
                    page[number] = head
                if len(page) == CHUNK:
                    await self._compare_heads(page)
                    page = {}
            await self._compare_heads(page)
        if not count and upto:
            self._found.add("checkpoint", "no head of the chain is kept outside the database")

    async def _compare_heads(self, outside: Mapping[int, bytes]) -> None:
        rows = await self._on.fetch(QUERIES["heads"], numbers=list(outside))
        stored = {row["number"]: row["head"] for row in rows}
        for number, head in outside.items():
            self._compare_head(number, head, stored.get(number))

    def _compare_head(self, number: int, outside: bytes, stored: bytes | None) -> None:
        if stored is None:
            self._found.add("checkpoint", f"seal {number} is kept outside, and missing here")
        elif outside != stored:
            self._found.add("checkpoint", f"seal {number} differs from the one kept outside")


class _LeafReader:
    """Reads rows, which are in the order of their seals, one seal at a time."""

    def __init__(self, rows: AsyncGenerator[Mapping[str, Any], None]) -> None:
        self._rows = rows
        self._ahead: Mapping[str, Any] | None = None

    async def of(self, seal: int) -> AsyncGenerator[Mapping[str, Any], None]:
        """Yield the rows of a seal; skip those of earlier seals, which are missing."""
        while (row := self._ahead or await anext(self._rows, None)) is not None:
            self._ahead = row
            if row["seal"] > seal:
                return
            self._ahead = None
            if row["seal"] == seal:
                yield row


def _is_unchanged(row: Mapping[str, Any]) -> bool:
    committed = hash_chain.commitments(row, row["salts"], row["commitments"])
    now = hash_chain.content(row, committed), committed, row["created_at"]
    return now == (row["content"], row["commitments"], row["dated"])


def _is_swapped(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether a record has the content that was sealed for another one."""
    committed = hash_chain.commitments(row, other["salts"], other["commitments"])
    return bool(hash_chain.content(row, committed) == other["content"])
