"""Embeddings as float32 bytes and back, for peers who do it by themselves."""

from __future__ import annotations

from array import array


def pack(vector: list[float]) -> bytes:
    """Four bytes a number."""
    return array("f", vector).tobytes()


def unpack(packed: bytes) -> list[float]:
    """A list again."""
    numbers = array("f")
    numbers.frombytes(packed)
    return numbers.tolist()
