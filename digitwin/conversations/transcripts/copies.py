"""Ids of a conversation that is imported where its own ids are taken.

They derive from the owner and the id, so that a second import finds the first one's rows.
"""

from __future__ import annotations

import hashlib
from uuid import UUID

_COUNTER = (1 << 42) - 1
_VERSION_AND_VARIANT = 0x7 << 76 | 0b10 << 62


def copied_id(owner: UUID, id: UUID) -> UUID:
    """Return the id that a row with this id has in a copy for this owner.

    It keeps the time, and the order of ids that one process made: the counter of a version 7 id
    is moved by an amount that is the owner's, and its random tail is replaced.
    """
    moved = hashlib.sha256(owner.bytes).digest()
    tail = hashlib.sha256(owner.bytes + id.bytes).digest()[:4]
    high, low = id.int >> 64 & 0xFFF, id.int >> 32 & 0x3FFF_FFFF
    counter = (high << 30 | low) + (int.from_bytes(moved[:6]) >> 6) & _COUNTER
    return UUID(
        int=id.int >> 80 << 80
        | counter >> 30 << 64
        | (counter & 0x3FFF_FFFF) << 32
        | int.from_bytes(tail)
        | _VERSION_AND_VARIANT
    )
