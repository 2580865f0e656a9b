"""Texts of a framework, as PostgreSQL can store them."""

from __future__ import annotations


def storable(text: str) -> str:
    """Return a text without what cannot be stored: NUL, and halves of surrogate pairs.

    Each becomes a replacement character: the rest of the text is not lost.
    """
    plain = str.__str__(text)
    if plain.isascii():
        return plain.replace("\0", "\ufffd") if "\0" in plain else plain
    return plain.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
