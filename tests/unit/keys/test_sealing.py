"""Sealing by itself: what goes in comes out, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from digitwin.kernel.ids import uuid7
from digitwin.keys import sealing

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
keys = st.binary(min_size=32, max_size=32)


@given(key=keys, text=texts, place=st.binary(max_size=60))
def test_a_sealed_text_opens_again(key: bytes, text: str, place: bytes) -> None:
    sealed = sealing.seal(key, text, place)
    assert sealing.is_sealed(sealed)
    assert sealed.isascii()
    assert sealing.unseal(key, sealed, place) == text


@given(data=st.data(), key=keys, plain=st.binary(max_size=100))
def test_one_changed_bit_breaks_the_seal(data: st.DataObject, key: bytes, plain: bytes) -> None:
    sealed = bytearray(sealing.encrypt(key, plain, b"here"))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(sealing.BrokenSeal):
        sealing.decrypt(key, bytes(sealed), b"here")


@given(key=keys, other=keys, text=texts)
def test_another_key_or_place_breaks_the_seal(key: bytes, other: bytes, text: str) -> None:
    sealed = sealing.seal(key, text, b"here")
    if other != key:
        with pytest.raises(sealing.BrokenSeal):
            sealing.unseal(other, sealed, b"here")
    with pytest.raises(sealing.BrokenSeal):
        sealing.unseal(key, sealed, b"there")


@pytest.mark.parametrize("said", ["", "!", "AAAA", "ä", "A" * 37])
def test_what_is_no_seal_is_broken(said: str) -> None:
    with pytest.raises(sealing.BrokenSeal):
        sealing.unseal(bytes(32), sealing.PREFIX + said, b"")


def test_places_differ_in_each_part() -> None:
    user, row = uuid7(), uuid7()
    places = {
        sealing.place("voice_models", "checksum", user, row),
        sealing.place("face_models", "checksum", user, row),
        sealing.place("voice_models", "artifact_uri", user, row),
        sealing.place("voice_models", "checksum", row, user),
        sealing.place("voice_models", "checksum", user, user),
    }
    assert len(places) == 5
