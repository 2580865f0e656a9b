"""What is past its time goes, and the rest still verifies.

In this order, each step committed by itself: everything is sealed; what will go is archived,
where an archive is configured; a signed checkpoint says up to which time records may be gone;
they go, months that are over as a whole; and seals of which nothing is left are folded into a
checkpoint that keeps the last one's head. A run that breaks off leaves a trail in order, and
the next one goes on.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from typing import Final

from digitwin.audit import archive, partitions
from digitwin.audit.hash_chain import NOTHING, Checkpoint, Seal
from digitwin.audit.sealing import LONG_AGO, Sealing, last_checkpoint, seal, seals_after
from digitwin.audit.signing import Signers
from digitwin.errors import InvalidStateError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.sql.queries import load

log = logging.getLogger("digitwin.audit")

BATCH: Final = 1000
"""Records deleted by one statement: some 10 ms, after which every lock is free again."""
FOLDED: Final = 500
"""Seals folded by one checkpoint."""

_SQL = load(__package__)


async def purge(core: Core, sealing: Sealing, cutoff: datetime) -> int:
    """Remove the records dated before the cut-off that are sealed; how many there were."""
    await seal(core, sealing)
    await seal(core, sealing, until=cutoff)
    upto: int = await core.aside.fetchval(_SQL["newest_seal"])
    removable = await core.aside.fetchval(_SQL["has_removable"], cutoff, upto)
    if removable:
        if sealing.archive is not None:
            await archive.write(core.aside, sealing.archive, cutoff, upto)
        await _allow(core, sealing.signers, cutoff)
    removed = await partitions.drop_ended(core, cutoff, upto)
    if removable:
        while gone := await _purge_batch(core, cutoff, upto):
            removed += gone
    while await _fold(core, sealing.signers):
        pass
    while await _sweep(core):
        pass
    return removed


async def _allow(core: Core, signers: Signers, cutoff: datetime) -> None:
    """A checkpoint that says: of what was before this, nothing needs to be there."""
    async with core.aside.transaction() as tx:
        last = await _hold(tx, signers)
        if cutoff > last.removed_before:
            await _put(tx, signers, replace(last, removed_before=cutoff))


async def _purge_batch(core: Core, cutoff: datetime, upto: int) -> int:
    async with core.aside.transaction() as tx:
        await tx.fetchval(_SQL["allow_purge"])
        gone: int = await tx.fetchval(_SQL["purge_batch"], cutoff, BATCH, upto)
    return gone


async def _fold(core: Core, signers: Signers) -> bool:
    """Put a checkpoint in the place of the first seals, where nothing of theirs is left."""
    async with core.aside.transaction() as tx:
        last = await _hold(tx, signers)
        some = await seals_after(tx, last.seal, FOLDED + 1)
        left = await tx.fetchval(_SQL["first_seal_with_records"], last.seal)
        over: list[Seal] = []
        head = last.seal_head
        for one in some[:-1]:  # the newest of all stays: the chain goes on from it
            is_over = one.newest is None or one.newest < last.removed_before
            if not is_over or (left is not None and one.number >= left):
                break
            if not await _holds(signers, one, head):
                log.error("Seal %s of the audit trail does not verify: it is kept", one.number)
                break
            over.append(one)
            head = one.head
        if not over:
            return False
        gone = last.records + sum(one.records for one in over)
        await _put(tx, signers, replace(last, seal=over[-1].number, seal_head=head, records=gone))
        await tx.fetchval(_SQL["allow_purge"])
        await tx.execute(_SQL["remove_seals"], over[-1].number)
    return True


async def _holds(signers: Signers, one: Seal, head: bytes) -> bool:
    """Evidence is not folded: only a seal that is in order goes."""
    in_order = one.digest() == one.head and one.previous == head
    return in_order and await signers.standing(one) != "forged"


async def _sweep(core: Core) -> bool:
    """Leaves of folded seals, a few at a time."""
    async with core.aside.transaction() as tx:
        await tx.fetchval(_SQL["allow_purge"])
        gone: int = await tx.fetchval(_SQL["remove_leaves"], BATCH * 5)
    return bool(gone)


async def _hold(tx: Statements, signers: Signers) -> Checkpoint:
    """The last checkpoint, or what stands for it, with nobody else making one.

    Raises:
        InvalidStateError: somebody else has made it: whoever goes on from it would sign it.
    """
    now = await tx.fetchval(_SQL["hold_checkpoints"])
    last = await last_checkpoint(tx)
    if last is None:
        return Checkpoint(0, now, LONG_AGO, 0, NOTHING, 0)
    standing = await signers.standing(last) if last.digest() == last.head else "forged"
    next_seals = await seals_after(tx, last.seal, 1)
    believed = standing == "signed" or not signers.known()
    before_any_key = standing == "unsigned" and all(one.key_id is None for one in next_seals)
    if standing == "forged" or not (believed or before_any_key):
        raise InvalidStateError(
            f"Checkpoint {last.number} of the audit trail is {standing}: nothing is removed"
            " (`digitwin audit verify` tells more)",
            checkpoint=last.number,
        )
    return replace(last, created_at=now)


async def _put(tx: Statements, signers: Signers, made: Checkpoint) -> None:
    bare = replace(made, number=made.number + 1, key_id=None, algorithm="none", signature=None)
    it = await signers.sign(bare)
    await tx.execute(
        _SQL["add_checkpoint"],
        *(it.number, it.created_at, it.removed_before, it.seal, it.seal_head, it.records),
        *(it.head, it.key_id, it.algorithm, it.signature),
    )
