"""AES-256-GCM, for values and for keys; the format of what is stored.

A sealed value is text: ``dt1:`` and, in base64, the nonce (12 bytes, at random), the
ciphertext and the tag (16 bytes). With one key for each person, 2**32 values of one person
may be sealed before random nonces become a worry (NIST SP 800-38D, 8.3).
"""

from __future__ import annotations

import base64
import binascii
import os
from functools import cache
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX: Final = "dt1:"
"""The number is the format's. The schema's CHECKs require it, too."""
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


class BrokenSeal(ValueError):
    """Not sealed with this key for this place, or changed since."""


def new_key() -> bytes:
    """A key of 256 bits, at random."""
    return AESGCM.generate_key(256)


def encrypt(key: AESGCM, plain: bytes, place: bytes) -> bytes:
    """Nonce, ciphertext and tag; opens only with the same ``place``."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + key.encrypt(nonce, plain, place)


def decrypt(key: AESGCM, sealed: bytes, place: bytes) -> bytes:
    """What :func:`encrypt` was given.

    Raises:
        BrokenSeal: another key or place, or a changed byte.
    """
    if len(sealed) < NONCE_BYTES + TAG_BYTES:
        raise BrokenSeal
    try:
        return key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
    except InvalidTag:
        raise BrokenSeal from None


def is_sealed(value: str) -> bool:
    """Whether it has the form of a sealed value; says nothing about its key or place."""
    return value.startswith(PREFIX)


def seal(key: AESGCM, text: str, place: bytes) -> str:
    """The text as it is stored."""
    return PREFIX + base64.b64encode(encrypt(key, text.encode(), place)).decode()


def unseal(key: AESGCM, sealed: str, place: bytes) -> str:
    """The text again.

    Raises:
        BrokenSeal: as :func:`decrypt`, or the text is not sealed at all.
    """
    if not is_sealed(sealed):
        raise BrokenSeal
    try:
        raw = base64.b64decode(sealed[len(PREFIX) :], validate=True)
    except (binascii.Error, ValueError):
        raise BrokenSeal from None
    return decrypt(key, raw, place).decode()


@cache
def column_place(table: str, column: str) -> bytes:
    """The first part of what a value is bound to: where it stands."""
    return f"digitwin\0{table}\0{column}\0".encode()


def row_place(user_id: UUID, row_id: UUID) -> bytes:
    """The other part, the same for each value of a row: moved to another, it does not open."""
    return user_id.bytes + row_id.bytes
