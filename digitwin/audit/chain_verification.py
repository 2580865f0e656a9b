"""Verifies the chain of seals: every record against its leaf, every seal against the one before.

A changed, removed, inserted or moved record is named as long as its leaf is genuine. Forged leaves
show in their seal's root, forged seals in their signatures, and seals forged with the key in the
heads that are kept outside the database.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from digitwin.audit import hash_chain
from digitwin.audit.checkpoints import CHUNK, CheckpointSink
from digitwin.audit.faults import FaultList
from digitwin.audit.hash_chain import GENESIS, Checkpoint, RootHash, Seal
from digitwin.audit.leaves import LeafReader, is_swapped, is_unchanged
from digitwin.audit.sealing import MIN_TIME, SealingConfig, last_checkpoint, seals_after
from digitwin.kernel.execution.executor import Executor
from digitwin.kernel.sql.queries import Queries

MAX_COMPARED: Final = 64
"""Changed records that are compared pairwise, to find those that were swapped."""
ATTEMPTS: Final = 3
"""How often the chain is read again because a purge removed a part of it meanwhile."""
LATE: Final = timedelta(days=1)
"""How much younger than its records a seal may be without a notice."""

QUERIES = Queries(__package__)


@dataclass(slots=True)
class ChainVerification(FaultList):
    """What one reading of the chain found."""

    sealed: int = 0
    seals: int = 0
    erased: int = 0
    newest: Seal | None = None
    horizon: datetime | None = None
    """Every genuine record dated before it is sealed."""
    returns: list[tuple[int, datetime]] = field(default_factory=list)
    """The seals, with their times, before which the database's clock had been ahead."""
    notices: list[str] = field(default_factory=list)
    changed: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def fault_count(self) -> int:
        return len(self.faults) + len(self.changed)

    def was_ahead(self, seal: int, created_at: datetime) -> bool:
        """Return whether a record of this seal was dated by a clock that went back since."""
        return any(number >= seal and at < created_at for number, at in self.returns)


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
        self._seen = config.seen
        self._known = MIN_TIME
        """The horizon that was known when the present seal was made."""
        self._is_signed = False
        """Whether a seal before the present one is signed."""
        self._late: list[Seal] = []

    async def run(self) -> ChainVerification:
        if self._checkpoint is not None:
            await self._check_signature(self._checkpoint, f"checkpoint {self._checkpoint.number}")
        last = await self._on.fetchrow(QUERIES["last_seal"])
        upto = self._first if last is None else last["number"]
        self._found.horizon = None if last is None else last["known"]
        leaves = self._on.stream(QUERIES["leaves_with_records"], after=self._first, upto=upto)
        async with aclosing(leaves), aclosing(self._seals(upto)) as seals:
            reader = LeafReader(leaves)
            async for seal in seals:
                await self._check_seal(seal)
                await self._check_leaves(seal, reader)
                self._found.newest = seal
        self._report_changed()
        self._report_unsigned()
        await self._add_notices(last)
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
        self._check_is_signed(seal)
        await self._note_clock(seal)
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

    def _check_is_signed(self, seal: Seal) -> None:
        """Report an unsigned seal after a signed one, or after a signed checkpoint was made.

        Unsigned seals before the first signed one were made before there was a key.
        """
        checkpoint, covers = self._checkpoint, max(seal.created_at, seal.newest or MIN_TIME)
        since = checkpoint.created_at if checkpoint is not None and checkpoint.key_id else None
        if seal.signature is not None:
            self._is_signed = True
        elif self._is_signed or (since is not None and covers > since):
            self._found.add("signature", f"seal {seal.number} is unsigned, after signed ones")

    async def _check_leaves(self, seal: Seal, reader: LeafReader) -> None:
        root, leaves, place, faults = RootHash(), 0, 0, self._found.fault_count
        oldest = seal.created_at
        async for row in reader.of(seal.number):
            if row["place"] == place:
                self._found.add("inserted", "another record has its id", row["record_id"])
                continue
            place, leaves = row["place"], leaves + 1
            root.add(row["leaf"])
            oldest = min(oldest, row["dated"])
            self._check_leaf(seal, row)
        self._found.sealed += leaves
        if seal.created_at - oldest > LATE:
            self._late = [*self._late[:1], seal]
        self._known = seal.horizon or self._known
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
        if erased is False or not is_unchanged(row):
            self._add_changed(row)
        elif not is_genuine:
            self._found.add("reordered", f"it is not in its place in seal {seal.number}", id)
        elif dated < self._known:
            self._found.add("inserted", f"of {dated:%F %T}, which was sealed before", id)

    async def _note_clock(self, seal: Seal) -> None:
        """Notice that the clock had been ahead: what was written since is sealed by this seal."""
        if self._known <= seal.created_at:
            return
        ahead = self._known - seal.created_at
        self._found.notices.append(
            f"The database's clock was ahead, by {ahead} or more, before seal {seal.number}: it"
            " covers records that an earlier seal did not wait for"
        )
        self._found.returns.append((seal.number, seal.created_at))
        at = {"first": self._first, "number": seal.number, "at": seal.created_at}
        self._known = await self._on.fetchval(QUERIES["horizon_before"], **at) or MIN_TIME

    async def _add_notices(self, last: Mapping[str, Any] | None) -> None:
        notices = self._found.notices
        if last is not None and last["created_at"] > last["now"]:
            self._found.returns.append((last["number"] + 1, last["now"]))
        if last is not None and last["horizon"] is not None and last["horizon"] > last["now"]:
            notices.append(
                f"The database's clock was ahead when seal {last['number']} was made, by"
                f" {last['horizon'] - last['now']} or more: the next seal covers what follows"
            )
        if self._late:
            first, newest = self._late[0].number, self._late[-1].number
            which = f"Seal {first}" if first == newest else f"Seals from {first} to {newest}"
            notices.append(
                f"{which}: more than a day younger than their oldest records. Unless nothing was"
                " sealed for so long, earlier seals were removed, and the records may be edited"
            )
        if not await self._seen.remains(self._on, last):
            notices.append(
                f"Seal {self._seen.number} is gone or was changed since this process saw it"
            )
        if self._sink is None:
            notices.append(
                "No checkpoints are kept outside the database (DIGITWIN_AUDIT_CHECKPOINTS):"
                " removed seals, and seals forged with the key, may not be found"
            )

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
            if any(is_swapped(row, other) or is_swapped(other, row) for other in others):
                self._found.add("reordered", "it was swapped with another record", id)
            else:
                self._found.add("changed", "it differs from what was sealed", id)

    def _report_unsigned(self) -> None:
        """Report a chain that ends unsigned although there is a key."""
        if not self._signers.known():
            return
        ends = {"checkpoint": self._checkpoint, "seal": self._found.newest}
        if self._is_signed:
            del ends["seal"]  # reported already
        for name, made in ends.items():
            if made is not None and made.signature is None:
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
