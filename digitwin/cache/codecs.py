"""Values as they are stored, and back."""

from __future__ import annotations

import json
import math
import sys
from array import array
from collections.abc import Sequence
from numbers import Real
from typing import Any, Final, NoReturn, Protocol, TypeAlias, TypeVar

from digitwin.errors import InvalidInputError
from digitwin.kernel.jsonb import complaint, dumps

MAX_DIMENSIONS: Final = 65_536
"""Of an embedding: 256 KiB, an order of magnitude beyond what models give."""

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class Numbers(Protocol):
    """What NumPy's arrays, torch's tensors, ``array.array`` and ``memoryview`` have in common."""

    def tolist(self) -> Any: ...


Vector: TypeAlias = Sequence[float] | Numbers


class Codec(Protocol[In, Out]):
    """How the values of one store become a parameter of a statement, and back."""

    def encode(self, value: In) -> tuple[bytes | str, int]:
        """The parameter, and its size in bytes.

        Raises:
            InvalidInputError: the value cannot be stored.
        """

    def decode(self, stored: Any) -> Out:
        """A value of the caller's own."""


class JsonCodec:
    """Any JSON value, null included, up to 1 MiB. Tuples come back as lists."""

    def encode(self, value: Any) -> tuple[str, int]:
        found = complaint(value)
        if found is not None:
            raise InvalidInputError(f"value {found}", field="value")
        text = dumps(value)
        return text, len(text.encode())

    def decode(self, stored: str) -> Any:
        return json.loads(stored)


class VectorCodec:
    """Numbers as float32, little-endian; what float32 cannot tell apart comes back rounded."""

    def encode(self, value: Vector) -> tuple[bytes, int]:
        numbers = _listed(value)
        if not 0 < len(numbers) <= MAX_DIMENSIONS:
            raise InvalidInputError(
                f"value must have 1 to {MAX_DIMENSIONS:,} numbers, not {len(numbers):,}",
                field="value",
                limit=MAX_DIMENSIONS if numbers else 1,
            )
        if not {*map(type, numbers)} <= {float, int}:
            _refuse_what_is_no_number(numbers)
        try:
            packed = array("f", numbers)
        except OverflowError:
            _explain(numbers)
        # Finite float32 numbers cannot overflow a double: the sum is finite when all of them are.
        if not math.isfinite(sum(packed)):
            _explain(numbers)
        stored = _little_endian(packed).tobytes()
        return stored, len(stored)

    def decode(self, stored: bytes) -> list[float]:
        packed = array("f")
        packed.frombytes(stored)
        return _little_endian(packed).tolist()


def _listed(value: Any) -> list[Any]:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, str | bytes | bytearray) or not isinstance(value, Sequence):
        raise InvalidInputError("value must be a list of numbers", field="value")
    return list(value)


def _refuse_what_is_no_number(numbers: list[Any]) -> None:
    for position, number in enumerate(numbers):
        if isinstance(number, bool) or not isinstance(number, Real):
            raise InvalidInputError(f"value[{position}] must be a number", field="value")


def _explain(numbers: list[Any]) -> NoReturn:
    """Which number it was that no float32 can hold."""
    for position, number in enumerate(numbers):
        if number != number:
            raise InvalidInputError(f"value[{position}] must not be NaN", field="value")
        if number in (math.inf, -math.inf):
            raise InvalidInputError(f"value[{position}] must not be infinity", field="value")
        if abs(number) > _FLOAT32_MAX:
            raise InvalidInputError(f"value[{position}] is too large for float32", field="value")
    raise InvalidInputError("value has a number too large for float32", field="value")


_FLOAT32_MAX = (2 - 2**-23) * 2.0**127


def _little_endian(packed: array[float]) -> array[float]:
    if sys.byteorder == "big":
        packed.byteswap()
    return packed
