"""A vector comes back as the float32 numbers that it was, or is refused with the reason."""

from __future__ import annotations

import math
import struct
from array import array
from collections import deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, strategies as st

from digitwin.cache.codecs import MAX_DIMENSIONS, VectorCodec
from digitwin.errors import InvalidInputError

codec = VectorCodec()


def round_trip(value: Any) -> list[float]:
    return codec.decode(codec.encode(value)[0])


class Tensor:
    """What NumPy and torch offer, as far as it matters."""

    def __init__(self, content: Any) -> None:
        self.content = content

    def tolist(self) -> Any:
        return self.content


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_float32_numbers_come_back_as_they_were(numbers: list[float]) -> None:
    assert round_trip(numbers) == numbers


def test_the_bytes_are_little_endian_whatever_the_machine() -> None:
    assert codec.encode([1.0, -2.5]) == (struct.pack("<2f", 1.0, -2.5), 8)


def test_a_double_is_rounded_to_the_nearest_float32() -> None:
    assert round_trip([0.1]) == [struct.unpack("<f", struct.pack("<f", 0.1))[0]]


@pytest.mark.parametrize(
    "given",
    [
        (1, 0.5),
        [1, 0.5],
        array("d", [1, 0.5]),
        memoryview(array("f", [1, 0.5])),
        Tensor([1.0, 0.5]),
        [Fraction(1), Fraction(1, 2)],
    ],
    ids=lambda value: type(value).__name__,
)
def test_numbers_come_in_many_kinds_and_go_as_floats(given: Any) -> None:
    numbers = round_trip(given)
    assert numbers == [1.0, 0.5]
    assert {type(number) for number in numbers} == {float}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "1 to 65,536 numbers, not 0"),
        ([0.0] * (MAX_DIMENSIONS + 1), "1 to 65,536 numbers, not 65,537"),
        ([0.5, math.nan], r"value\[1\] must not be NaN"),
        ([math.inf], r"value\[0\] must not be infinity"),
        ([1.0, 2.0, -math.inf], r"value\[2\] must not be infinity"),
        ([math.inf, -math.inf], r"value\[0\] must not be infinity"),
        ([3.5e38], r"value\[0\] is too large for float32"),
        ([-1e300], r"value\[0\] is too large for float32"),
        ([10**400], r"value\[0\] is too large for float32"),
        ([True], r"value\[0\] must be a number"),
        ([1.0, "2"], r"value\[1\] must be a number"),
        ([None], r"value\[0\] must be a number"),
        ([[1.0], [2.0]], r"value\[0\] must be a number"),
        ([Decimal(1)], r"value\[0\] must be a number"),
        ([1j], r"value\[0\] must be a number"),
        (Tensor([[1.0]]), r"value\[0\] must be a number"),
        (Tensor(1.0), "must be a list of numbers"),
        ("0.5", "must be a list of numbers"),
        (b"\x00\x00\x00\x00", "must be a list of numbers"),
        ({1.0, 2.0}, "must be a list of numbers"),
        (iter([1.0]), "must be a list of numbers"),
        (0.5, "must be a list of numbers"),
        (None, "must be a list of numbers"),
    ],
)
def test_what_is_no_vector_is_refused_with_the_reason(value: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message) as refused:
        codec.encode(value)
    assert refused.value.details["field"] == "value"


def test_the_largest_float32_is_not_too_large() -> None:
    largest = (2 - 2**-23) * 2.0**127
    assert round_trip([largest] * MAX_DIMENSIONS) == [largest] * MAX_DIMENSIONS


def test_every_answer_is_the_callers_own() -> None:
    stored, _ = codec.encode([1.0])
    codec.decode(stored).append(2.0)
    assert codec.decode(stored) == [1.0]


def test_a_deque_is_a_sequence_too() -> None:
    assert round_trip(deque([1.0])) == [1.0]
