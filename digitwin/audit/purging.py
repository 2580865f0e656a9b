"""Removes old records so that the rest of the trail still verifies.

The steps, each committed by itself: seal everything; archive what will be removed, if an archive
is configured; write a signed checkpoint that allows records up to a time to be missing; remove
them, whole months by dropping their partition; replace seals whose records are all removed by a
checkpoint that keeps the head of the last one. If a run is interrupted, the trail still
verifies, and the next run continues.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from datetime import datetime
from typing import Final

from digitwin.audit import archive, partitions
from digitwin.audit.hash_chain import GENESIS, Checkpoint, Seal
from digitwin.audit.sealing import MIN_TIME, SealingConfig, last_checkpoint, seal, seals_after
from digitwin.audit.signing import Signers
from digitwin.errors import InvalidStateError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.sql.queries import Queries

log = logging.getLogger("digitwin.audit")

BATCH: Final = 1000
"""Records deleted by one statement: about 10 ms, after which its locks are released."""
LEAF_BATCH: Final = 5 * BATCH
SEAL_BATCH: Final = 500
"""Seals replaced by one checkpoint at most."""

QUERIES = Queries(__package__)


async def purge(core: Core, config: SealingConfig, cutoff: datetime) -> int:
    """Remove the sealed records dated before the cutoff, and return their number."""
    await seal(core, config)
    await seal(core, config, until=cutoff)
    upto: int = await core.aside.fetchval(QUERIES["newest_seal"])
    removable = await core.aside.fetchval(QUERIES["has_removable"], cutoff=cutoff, upto=upto)
    if removable:
        if config.archive is not None:
            await archive.write(core.aside, config.archive, cutoff, upto)
        await _allow_removal(core, config.signers, cutoff)
    removed = await partitions.drop_ended(core, cutoff, upto)
    if removable:
        while count := await _purge_batch(core, cutoff, upto):
            removed += count
    while await _replace_seals(core, config.signers):
        pass
    while await _delete_leaves(core):
        pass
    return removed


async def _allow_removal(core: Core, signers: Signers, cutoff: datetime) -> None:
    """Write a checkpoint that allows records before the cutoff to be missing."""
    async with core.aside.transaction() as tx:
        last = await _lock_checkpoint(tx, signers)
        if cutoff > last.removed_before:
            await _write_checkpoint(tx, signers, replace(last, removed_before=cutoff))


async def _purge_batch(core: Core, cutoff: datetime, upto: int) -> int:
    async with core.aside.transaction() as tx:
        await tx.fetchval(QUERIES["permit"], permission="on")
        batch = {"cutoff": cutoff, "upto": upto, "limit": BATCH}
        count: int = await tx.fetchval(QUERIES["purge_batch"], **batch)
    return count


async def _replace_seals(core: Core, signers: Signers) -> bool:
    """Replace the first seals, whose records are all removed, by a checkpoint."""
    async with core.aside.transaction() as tx:
        last = await _lock_checkpoint(tx, signers)
        seals = await _replaceable(tx, signers, last)
        if not seals:
            return False
        end = seals[-1]
        records = last.records + sum(one.records for one in seals)
        checkpoint = replace(last, seal=end.number, seal_head=end.head, records=records)
        await _write_checkpoint(tx, signers, checkpoint)
        await tx.fetchval(QUERIES["permit"], permission="on")
        await tx.execute(QUERIES["remove_seals"], upto=end.number)
    return True


async def _replaceable(tx: Statements, signers: Signers, last: Checkpoint) -> list[Seal]:
    """Return the seals after a checkpoint that are intact and have no records left."""
    page = await seals_after(tx, last.seal, SEAL_BATCH + 1)
    kept = await tx.fetchval(QUERIES["first_seal_with_records"], after=last.seal)
    seals: list[Seal] = []
    for one in page[:-1]:  # the newest seal stays: the next one is linked to it
        is_removed = one.newest is None or one.newest < last.removed_before
        if not is_removed or (kept is not None and one.number >= kept):
            break
        if not await _is_intact(signers, one, seals[-1].head if seals else last.seal_head):
            # it is evidence, so it stays
            log.error("Seal %s of the audit trail does not verify and is kept", one.number)
            break
        seals.append(one)
    return seals


async def _is_intact(signers: Signers, one: Seal, previous: bytes) -> bool:
    is_linked = one.digest() == one.head and one.previous == previous
    return is_linked and await signers.status(one) != "invalid"


async def _delete_leaves(core: Core) -> bool:
    """Delete a batch of leaves whose seals were replaced."""
    async with core.aside.transaction() as tx:
        await tx.fetchval(QUERIES["permit"], permission="on")
        count: int = await tx.fetchval(QUERIES["remove_leaves"], limit=LEAF_BATCH)
    return bool(count)


async def _lock_checkpoint(tx: Statements, signers: Signers) -> Checkpoint:
    """Lock the checkpoints and return the last one, or an initial one.

    Raises:
        InvalidStateError: it does not verify; the next checkpoint would sign its claims.
    """
    now = await tx.fetchval(QUERIES["hold_checkpoints"])
    last = await last_checkpoint(tx)
    if last is None:
        return Checkpoint(0, now, MIN_TIME, 0, GENESIS, 0)
    status = await signers.status(last) if last.digest() == last.head else "invalid"
    next_seals = await seals_after(tx, last.seal, 1)
    is_trusted = status == "valid" or not signers.known()
    before_any_key = status == "unsigned" and all(one.key_id is None for one in next_seals)
    if status == "invalid" or not (is_trusted or before_any_key):
        raise InvalidStateError(
            f"Checkpoint {last.number} of the audit trail does not verify (signature:"
            f" {status.replace('_', ' ')}); nothing is removed. `digitwin audit verify` shows why",
            checkpoint=last.number,
        )
    return replace(last, created_at=now)


async def _write_checkpoint(tx: Statements, signers: Signers, checkpoint: Checkpoint) -> None:
    number = checkpoint.number + 1
    bare = replace(checkpoint, number=number, key_id=None, algorithm="none", signature=None)
    await tx.execute(QUERIES["add_checkpoint"], **asdict(await signers.sign(bare)))
