"""Texts of a framework, as PostgreSQL can store them."""

from __future__ import annotations


def storable(text: str) -> str:
    """Return a text without what cannot be stored: NUL, and halves of surrogate pairs.

    Each becomes a replacement character: the rest of the text is not lost.
    """
    plain = str.__str__(text)
    if plain.isascii():
        return plain.replace("\0", "\ufffd") if "\0" in plain else plain
    pairs = plain.encode("utf-16-le", "surrogatepass")
    return pairs.decode("utf-16-le", "replace").replace("\0", "\ufffd")
