"""JSON that jsonb cannot hold is found out before it is sent, whatever its shape."""

from __future__ import annotations

import json
import time
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given, strategies as st

from digitwin.kernel.primitives.jsonb import MAX_BYTES, MAX_DEPTH, dumps, json_error

STORABLE_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | STORABLE_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(STORABLE_TEXT, inner),
    max_leaves=20,
)


class Level(IntEnum):
    HIGH = 3


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def circular() -> Any:
    value: dict[str, Any] = {}
    value["itself"] = value
    return value


def exponential() -> Any:
    """Few objects, 10^12 items."""
    value: Any = [1] * 10
    for _ in range(11):
        value = [value] * 10
    return value


@given(JSON)
def test_json_is_taken_and_read_back_as_it_was(value: Any) -> None:
    assert json_error(value) is None
    assert json.loads(dumps(value)) == value


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (float("nan"), "NaN or infinity"),
        ([float("-inf")], "NaN or infinity"),
        ("a\0b", "a NUL character"),
        ({"a\0b": 1}, "a NUL character"),
        (["\ud800"], "a lone surrogate"),
        ({"\udfff": 1}, "a lone surrogate"),
        (2**63, "an integer beyond 64 bits"),
        (-(2**63) - 1, "an integer beyond 64 bits"),
        ({1: "a"}, "must have string keys"),
        ({"a": {None: 1}}, "must have string keys"),
        ({"a": {1, 2}}, "of type set, which JSON does not have"),
        ([b"bytes"], "of type bytes, which JSON does not have"),
        ([object()], "of type object, which JSON does not have"),
        (nested(MAX_DEPTH + 1), "nested deeper than 64 levels"),
        (nested(100_000), "nested deeper than 64 levels"),
        (circular(), "nested deeper than 64 levels"),
        ("x" * MAX_BYTES, "larger than 1,048,576 bytes"),
        ("é" * (MAX_BYTES // 2), "larger than 1,048,576 bytes"),
        ([0] * MAX_BYTES, "larger than 1,048,576 bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 else type(value).__name__,
)
def test_what_jsonb_cannot_hold_is_named(value: Any, found: str) -> None:
    assert found in str(json_error(value))


def test_a_small_object_that_spells_out_huge_is_refused_quickly() -> None:
    began = time.perf_counter()
    assert "larger than" in str(json_error(exponential()))
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    "value", [nested(MAX_DEPTH), "x" * (MAX_BYTES - 2), 2**63 - 1, (1, 2), Level.HIGH, {}, []]
)
def test_what_just_fits_is_taken(value: Any) -> None:
    assert json_error(value) is None


def test_json_is_written_compactly_and_readably() -> None:
    assert dumps({"name": "Zoë", "traits": [1, None]}) == '{"name":"Zoë","traits":[1,null]}'


def test_json_is_never_written_with_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps([float("nan")])
