"""AES-256-GCM, for values and for keys; the format of what is stored.

A sealed value is text: ``dt1:`` and, in base64, the nonce (12 bytes, at random), the
ciphertext and the tag (16 bytes). With one key for each person, 2**32 values of one person
may be sealed before random nonces become a worry (NIST SP 800-38D, 8.3).
"""

from __future__ import annotations

import base64
import binascii
import os
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from digitwin.kernel.ports import SEALED

PREFIX: Final = SEALED
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


class BrokenSeal(ValueError):
    """Not sealed with this key for this place, or changed since."""


def new_key() -> bytes:
    """A key of 256 bits, at random."""
    return AESGCM.generate_key(256)


def encrypt(key: bytes, plain: bytes, place: bytes) -> bytes:
    """Nonce, ciphertext and tag; opens only with the same ``place``."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, place)


def decrypt(key: bytes, sealed: bytes, place: bytes) -> bytes:
    """What :func:`encrypt` was given.

    Raises:
        BrokenSeal: another key or place, or a changed byte.
    """
    if len(sealed) < NONCE_BYTES + TAG_BYTES:
        raise BrokenSeal
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
    except InvalidTag:
        raise BrokenSeal from None


def is_sealed(value: str) -> bool:
    """Whether it has the form of a sealed value; what was written before sealing has not."""
    return value.startswith(PREFIX)


def seal(key: bytes, text: str, place: bytes) -> str:
    """The text as it is stored."""
    return PREFIX + base64.b64encode(encrypt(key, text.encode(), place)).decode()


def unseal(key: bytes, sealed: str, place: bytes) -> str:
    """The text again.

    Raises:
        BrokenSeal: as :func:`decrypt`.
    """
    try:
        raw = base64.b64decode(sealed.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise BrokenSeal from None
    return decrypt(key, raw, place).decode()


def place(table: str, column: str, user_id: UUID, row_id: UUID) -> bytes:
    """What a value is bound to: moved to another row, column or person it does not open."""
    return b"\0".join((b"digitwin", table.encode(), column.encode(), user_id.bytes, row_id.bytes))
