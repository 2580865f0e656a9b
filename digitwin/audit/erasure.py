"""A person leaves the trail; what happened stays in it, and stays provable.

What is theirs in a record goes: their id becomes a pseudonym, the rest becomes nothing. With
it go the salts of its commitments, so that no digest of it can be tried any more, while the
seals over those digests hold as before.
"""

from __future__ import annotations

import os
from typing import Final
from uuid import UUID

from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.sql.queries import load

BATCH: Final = 2000
"""Records moved by one statement: under a second, far from any statement's limit."""

SALT_BYTES: Final = 16
NO_SALT: Final = bytes(SALT_BYTES)
"""Stands where a salt was erased."""

PSEUDONYM_VERSION: Final = 8
_VERSION_AND_VARIANT: Final = PSEUDONYM_VERSION << 76 | 0b10 << 62
_RANDOM: Final = ~(0xF << 76 | 0b11 << 62)

_WHOSE: Final = ("user_id = $1", "actor_id = $1", "resource_id = $2")
_SQL = load(__package__)


def new_pseudonym() -> UUID:
    """An id of nobody: random, and of version 8, which no person's id has (RFC 9562)."""
    return UUID(int=int.from_bytes(os.urandom(16)) & _RANDOM | _VERSION_AND_VARIANT)


async def pseudonymise(on: Statements, user_id: UUID, *, pseudonym: UUID | None = None) -> int:
    """Take a person out of every record of the trail, sealed or not; how many were changed.

    Where the record is about them (their id as ``user_id``, or as ``resource_id``), the id
    becomes the pseudonym, ``resource_id`` and ``metadata`` become empty. Where they were the
    actor, ``actor_id`` becomes the pseudonym, and ``ip_address`` and ``user_agent`` go; so do
    those of records about them that name no actor. Another actor's stay: that is another
    person. Part of the open transaction: what is rolled back never happened, and no record is
    sealed until it ends.

    Args:
        on: the transaction, of a role that may delete from the trail.
        pseudonym: one for all the records, of :func:`new_pseudonym`; left out, a new one that
            nobody keeps. Records of the erasure itself should name the same.
    """
    nobody = pseudonym or new_pseudonym()
    await on.fetchval(_SQL["hold_sealing"])
    before = await on.fetchval(_SQL["permission"])
    await on.fetchval(_SQL["permit"], "on")
    changed = sum([await _leave(on, whose, user_id, nobody) for whose in _WHOSE])
    await on.fetchval(_SQL["permit"], before)
    return changed


async def _leave(on: Statements, whose: str, user_id: UUID, pseudonym: UUID) -> int:
    sql, left = _SQL["pseudonymise"].format(whose=whose), 0
    while True:
        some: int = await on.fetchval(*(sql, user_id, str(user_id), pseudonym, BATCH, NO_SALT))
        left += some
        if some < BATCH:
            return left
