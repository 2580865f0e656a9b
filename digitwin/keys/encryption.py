"""AES-256-GCM (NIST SP 800-38D) for field values and for wrapped keys.

An encrypted value is text: ``dt1:`` and the base64 of a random nonce (12 bytes), the ciphertext
and the tag (16 bytes). The additional authenticated data (AAD) names the table, column, person
and row, so that a value moved elsewhere does not decrypt.

With random nonces, one key may encrypt 2**32 values (SP 800-38D, 8.3). Every person has a key of
their own, so that is the limit for one person.
"""

from __future__ import annotations

import base64
import binascii
import os
from functools import cache
from typing import TYPE_CHECKING, Final
from uuid import UUID

from digitwin.kernel.orm.encrypted_text import PREFIX, is_encrypted

if TYPE_CHECKING:  # else at the first use of a key: its import takes 10 ms of every start
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


class DecryptionError(ValueError):
    """The value was changed, or encrypted with another key or other AAD."""


def new_key() -> bytes:
    """Return a random key of 256 bits."""
    return os.urandom(KEY_BYTES)


def opened(key: bytes) -> AESGCM:
    """Return a key's cipher."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def encrypt(key: AESGCM, plaintext: bytes, aad: bytes) -> bytes:
    """Return nonce, ciphertext and tag."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + key.encrypt(nonce, plaintext, aad)


def decrypt(key: AESGCM, encrypted: bytes, aad: bytes) -> bytes:
    """Return the plaintext of :func:`encrypt`.

    Raises:
        DecryptionError: another key or AAD, or a changed byte.
    """
    from cryptography.exceptions import InvalidTag

    if len(encrypted) < NONCE_BYTES + TAG_BYTES:
        raise DecryptionError
    try:
        return key.decrypt(encrypted[:NONCE_BYTES], encrypted[NONCE_BYTES:], aad)
    except InvalidTag:
        raise DecryptionError from None


def encrypt_text(key: AESGCM, text: str, aad: bytes) -> str:
    """Return the text as it is stored."""
    return PREFIX + base64.b64encode(encrypt(key, text.encode(), aad)).decode()


def decrypt_text(key: AESGCM, value: str, aad: bytes) -> str:
    """Return the plaintext of :func:`encrypt_text`.

    Raises:
        DecryptionError: as :func:`decrypt`, or the value is not encrypted at all.
    """
    if not is_encrypted(value):
        raise DecryptionError
    try:
        raw = base64.b64decode(value[len(PREFIX) :], validate=True)
    except (binascii.Error, ValueError):
        raise DecryptionError from None
    return decrypt(key, raw, aad).decode()


@cache
def column_aad(table: str, column: str) -> bytes:
    """Return the first part of a value's AAD."""
    return f"digitwin\0{table}\0{column}\0".encode()


def row_aad(user_id: UUID, row_id: UUID) -> bytes:
    """Return the second part, which all values of a row share."""
    return user_id.bytes + row_id.bytes
