"""Erases a person from the trail; the events stay, and still verify.

The person's id becomes a pseudonym, and their other data in a record is removed. So are the salts
of the commitments to it, so that nobody can guess it from a digest, while every seal over these
digests stays valid (see :mod:`digitwin.audit.hash_chain`).
"""

from __future__ import annotations

import os
from typing import Final
from uuid import UUID

from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.sql.queries import Queries
from digitwin.kernel.sql.spelling import spellings

BATCH: Final = 2000
"""Records changed by one statement: less than a second, far below any statement timeout."""

SALT_BYTES: Final = 16
NO_SALT: Final = bytes(SALT_BYTES)
"""Replaces an erased salt."""

PSEUDONYM_VERSION: Final = 8
_VERSION_AND_VARIANT: Final = PSEUDONYM_VERSION << 76 | 0b10 << 62
_RANDOM_BITS: Final = ~(0xF << 76 | 0b11 << 62)

_NAMES: Final = spellings(":user_id::uuid::text")
_CONDITIONS: Final = ("user_id = :user_id", "actor_id = :user_id", f"resource_id = ANY({_NAMES})")
QUERIES = Queries(__package__, names=_NAMES)


def new_pseudonym() -> UUID:
    """Return a random UUID of version 8 (RFC 9562, 5.8), which no person's id has."""
    return UUID(int=int.from_bytes(os.urandom(16)) & _RANDOM_BITS | _VERSION_AND_VARIANT)


async def pseudonymise(on: Statements, user_id: UUID, *, pseudonym: UUID | None = None) -> int:
    """Erase a person from every record of the trail, sealed or not.

    In records about them (``user_id`` or ``resource_id`` is their id, the latter in any
    spelling), the id becomes the
    pseudonym, and ``resource_id`` and ``metadata`` become empty. In records of what they did,
    ``actor_id`` becomes the pseudonym, and ``ip_address`` and ``user_agent`` become NULL; the
    same in records about them without an actor. Another actor's data stays.

    It is part of the open transaction. No record is sealed until that ends.

    Args:
        on: the transaction, of a role that may delete from the trail.
        pseudonym: one for all records, of :func:`new_pseudonym`; a new one if unset, which is
            not stored elsewhere. Records of the erasure itself should have the same.

    Returns:
        The number of records changed.
    """
    replacement = pseudonym or new_pseudonym()
    await on.fetchval(QUERIES["hold_sealing"])
    before = await on.fetchval(QUERIES["permission"])
    await on.fetchval(QUERIES["permit"], permission="on")
    changed = sum([await _erase(on, where, user_id, replacement) for where in _CONDITIONS])
    await on.fetchval(QUERIES["permit"], permission=before)
    return changed


async def _erase(on: Statements, where: str, user_id: UUID, pseudonym: UUID) -> int:
    changed = 0
    while True:
        count: int = await on.fetchval(
            QUERIES.variant("pseudonymise", where=where),
            user_id=user_id,
            pseudonym=pseudonym,
            limit=BATCH,
            no_salt=NO_SALT,
        )
        changed += count
        if count < BATCH:
            return changed
