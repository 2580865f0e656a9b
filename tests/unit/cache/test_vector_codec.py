"""A vector comes back as the float32 numbers that it was, or is refused with the reason."""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections import deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy
import pytest
from hypothesis import given, strategies as st

from digitwin.cache.codecs import MAX_DIMENSIONS, VectorCodec
from digitwin.errors import ConfigurationError, InvalidInputError

codec = VectorCodec()
FLOAT32_MAX = (2 - 2**-23) * 2.0**127


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


@given(
    st.lists(st.floats(-1e38, 1e38) | st.integers(-(2**63), 2**63), min_size=1),
    st.sampled_from(["f4", "f8", ">f4"]),
)
def test_an_array_is_stored_as_the_list_of_its_numbers(numbers: list[float], dtype: str) -> None:
    given = numpy.array(numbers, dtype=dtype)
    assert codec.encode(given) == codec.encode(given.tolist())


@given(st.lists(st.floats() | st.integers() | st.booleans()))
def test_what_is_taken_has_numbers_alone_and_what_is_refused_says_why(numbers: list[Any]) -> None:
    fits = numbers and all(
        not isinstance(number, bool) and abs(number) <= FLOAT32_MAX for number in numbers
    )
    if fits:
        stored = b"".join(struct.pack("<f", number) for number in numbers)
        assert codec.encode(numbers) == (stored, len(stored))
        return
    with pytest.raises(InvalidInputError) as refused:
        codec.encode(numbers)
    assert refused.value.details["field"] == "value"


def test_an_array_comes_back_as_ones_own() -> None:
    stored, _ = codec.encode(numpy.array([1.0, 0.1]))
    found = codec.decode_numpy(stored)
    assert found.dtype == numpy.float32
    assert found.tolist() == codec.decode(stored)
    found[0] = 2.0  # it can be written
    assert codec.decode_numpy(stored)[0] == 1.0


def test_without_numpy_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    stored, _ = codec.encode([1.0])
    with pytest.raises(ConfigurationError, match=r"digitwin\[numpy\]"):
        codec.decode_numpy(stored)


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
        [Decimal(1), Decimal("0.5")],
        numpy.array([1, 0.5]),
        numpy.array([1, 0.5], dtype="f4"),
        numpy.array([1, 0.5], dtype="f2"),
        numpy.array([1, 0.5], dtype=">f8"),
        numpy.array([1, 9, 0.5, 9])[::2],
        [numpy.float32(1), numpy.float64(0.5)],
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
        ([1j], r"value\[0\] must be a number"),
        (Tensor([[1.0]]), r"value\[0\] must be a number"),
        (numpy.array([]), "1 to 65,536 numbers, not 0"),
        (numpy.zeros(MAX_DIMENSIONS + 1), "1 to 65,536 numbers, not 65,537"),
        (numpy.array(1.0), "one dimension, not 0"),
        (numpy.array([[1.0]]), "one dimension, not 2"),
        (numpy.array([0.5, math.nan]), r"value\[1\] must not be NaN"),
        (numpy.array([0.5, -math.inf], dtype="f4"), r"value\[1\] must not be infinity"),
        (numpy.array([0.5, 1e39]), r"value\[1\] is too large for float32"),
        (numpy.array([True]), "array of numbers, not of bool"),
        (numpy.array(["1"]), "array of numbers, not of <U1"),
        (numpy.array([1.0], dtype=object), "array of numbers, not of object"),
        (numpy.array([1j]), "array of numbers, not of complex128"),
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
