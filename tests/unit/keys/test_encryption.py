"""Encryption by itself: what goes in comes out, and nothing else does."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, strategies as st

from digitwin.kernel.orm.encrypted_text import PREFIX, is_encrypted
from digitwin.kernel.primitives.ids import uuid7
from digitwin.keys import encryption

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
keys = st.binary(min_size=32, max_size=32).map(AESGCM)


@given(key=keys, text=texts, aad=st.binary(max_size=60))
def test_a_sealed_text_opens_again(key: AESGCM, text: str, aad: bytes) -> None:
    encrypted = encryption.encrypt_text(key, text, aad)
    assert is_encrypted(encrypted)
    assert encrypted.isascii()
    assert encryption.decrypt_text(key, encrypted, aad) == text


@given(data=st.data(), key=keys, plain=st.binary(max_size=100))
def test_one_changed_bit_breaks_the_seal(data: st.DataObject, key: AESGCM, plain: bytes) -> None:
    encrypted = bytearray(encryption.encrypt(key, plain, b"here"))
    bit = data.draw(st.integers(0, len(encrypted) * 8 - 1))
    encrypted[bit // 8] ^= 1 << bit % 8
    with pytest.raises(encryption.DecryptionError):
        encryption.decrypt(key, bytes(encrypted), b"here")


@given(pair=st.lists(st.binary(min_size=32, max_size=32), min_size=2, max_size=2, unique=True))
def test_another_key_breaks_the_seal(pair: list[bytes]) -> None:
    key, other = map(AESGCM, pair)
    with pytest.raises(encryption.DecryptionError):
        encryption.decrypt_text(other, encryption.encrypt_text(key, "text", b"here"), b"here")


@given(key=keys, text=texts)
def test_another_place_breaks_the_seal(key: AESGCM, text: str) -> None:
    with pytest.raises(encryption.DecryptionError):
        encryption.decrypt_text(key, encryption.encrypt_text(key, text, b"here"), b"there")


@pytest.mark.parametrize("said", ["", "!", "AAAA", "ä", "A" * 37])
def test_what_is_no_seal_is_broken(said: str) -> None:
    for text in (said, PREFIX + said):
        with pytest.raises(encryption.DecryptionError):
            encryption.decrypt_text(AESGCM(bytes(32)), text, b"")


@given(key=keys, text=texts)
def test_the_prefix_is_part_of_a_seal(key: AESGCM, text: str) -> None:
    bare = encryption.encrypt_text(key, text, b"here").removeprefix(PREFIX)
    for cut in (bare, "dt2:" + bare):
        with pytest.raises(encryption.DecryptionError):
            encryption.decrypt_text(key, cut, b"here")


def test_places_differ_in_each_part() -> None:
    user, row = uuid7(), uuid7()
    places = {
        encryption.column_aad(*column) + encryption.row_aad(*ids)
        for column in (("voice_models", "checksum"), ("face_models", "checksum"), ("a", "b\0c"))
        for ids in ((user, row), (row, user), (user, user))
    }
    assert len(places) == 9
