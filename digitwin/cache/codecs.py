"""Encodes values for storage, and decodes them."""

from __future__ import annotations

import json
import math
import struct
import sys
from array import array
from collections.abc import Sequence
from decimal import Decimal
from itertools import islice
from numbers import Real
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    import numpy

from pydantic_core import SchemaValidator, ValidationError, core_schema

from digitwin.errors import ConfigurationError, InvalidInputError
from digitwin.kernel.primitives.jsonb import MAX_BYTES, TOO_LARGE, dumps, fault
from digitwin.kernel.primitives.validation import unreadable

MAX_DIMENSIONS: Final = 65_536
"""Of an embedding: 256 KiB, ten times what models return."""

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class Numbers(Protocol):
    """The common part of NumPy arrays, torch tensors, ``array.array`` and ``memoryview``."""

    def tolist(self) -> Any: ...


Vector: TypeAlias = Sequence[float] | Numbers
Array: TypeAlias = "numpy.ndarray[Any, numpy.dtype[numpy.float32]]"
"""What ``as_numpy=True`` returns."""


class Codec(Protocol[In, Out]):
    """Converts a store's values to a statement's parameter, and back."""

    def encode(self, value: In) -> tuple[bytes | str, int]:
        """Return the parameter and its size in bytes.

        Raises:
            InvalidInputError: the value cannot be stored.
        """

    def decode(self, stored: Any) -> Out:
        """Return a new value, which the caller may change."""


class JsonCodec:
    """Any JSON value, null included, up to 1 MiB. Tuples come back as lists."""

    def encode(self, value: Any) -> tuple[str, int]:
        found = fault(value)
        if found is not None:
            raise InvalidInputError(f"value {found}", field="value")
        text = dumps(value)
        size = len(text.encode())
        if size > MAX_BYTES:
            raise InvalidInputError(f"value {TOO_LARGE}", field="value")
        return text, size

    def decode(self, stored: str) -> Any:
        return json.loads(stored)


class VectorCodec:
    """Numbers as little-endian float32; a value is rounded to the nearest float32."""

    def encode(self, value: Vector) -> tuple[bytes, int]:
        if _is_ndarray(value):
            stored = _packed_array(value)
        else:
            numbers = value if type(value) is list else _listed(value)
            _check_dimensions(len(numbers))
            stored = _packed(numbers)
        return stored, len(stored)

    def decode(self, stored: bytes) -> list[float]:
        packed = array("f")
        packed.frombytes(stored)
        if sys.byteorder == "big":
            packed.byteswap()
        return packed.tolist()

    def decode_numpy(self, stored: bytes) -> Array:
        """Return a new array, which the caller may change."""
        numpy = require_numpy()
        array: Array = numpy.frombuffer(stored, dtype="<f4").astype(numpy.float32)
        return array


_FINITE = SchemaValidator(
    core_schema.list_schema(core_schema.float_schema(strict=True, allow_inf_nan=False))
)
"""Types and finiteness in one pass: a fifth of what a set of types and a sum took."""


def _packed(numbers: list[Any]) -> bytes:
    try:
        return struct.pack(f"<{len(numbers)}f", *_FINITE.validate_python(numbers))
    except (ValidationError, OverflowError):
        pass  # numbers of other types, or a value that is refused below with its reason
    _refuse_non_numbers(numbers)
    numbers = [_as_float(number, position) for position, number in enumerate(numbers)]
    try:
        stored = struct.pack(f"<{len(numbers)}f", *numbers)
    except (OverflowError, struct.error):
        _explain(numbers)
    if not all(map(math.isfinite, numbers)):
        _explain(numbers)
    return stored


def _is_ndarray(value: Any) -> bool:
    """Return whether it is an array; does not import NumPy, as an array's caller has."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and issubclass(type(value), numpy.ndarray)


def _packed_array(value: Any) -> bytes:
    numpy = require_numpy()
    if value.ndim != 1:
        raise InvalidInputError(
            f"value must be an array of one dimension, not {value.ndim}", field="value"
        )
    _check_dimensions(len(value))
    if value.dtype.kind not in "fiu":
        raise InvalidInputError(
            f"value must be an array of numbers, not of {value.dtype}", field="value"
        )
    with numpy.errstate(over="ignore", invalid="ignore"):
        packed = value.astype("<f4")
    if not numpy.isfinite(packed).all():
        _explain(value.tolist())
    stored: bytes = packed.tobytes()
    return stored


def require_numpy() -> Any:
    """Import and return NumPy, which is an optional dependency.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        import numpy
    except ImportError:
        raise ConfigurationError(
            "NumPy is not installed: install `digitwin[numpy]`", field="as_numpy"
        ) from None
    return numpy


def _check_dimensions(count: int) -> None:
    if not 0 < count <= MAX_DIMENSIONS:
        raise InvalidInputError(
            f"value must have 1 to {MAX_DIMENSIONS:,} numbers, not {count:,}",
            field="value",
            limit=MAX_DIMENSIONS if count else 1,
        )


def _listed(value: Any) -> list[Any]:
    kind = type(value)  # not isinstance(), which asks the value
    convertible = hasattr(kind, "tolist")
    if issubclass(kind, str | bytes | bytearray) or not (convertible or issubclass(kind, Sequence)):
        raise InvalidInputError("value must be a list of numbers", field="value")
    try:
        if hasattr(kind, "__len__"):
            _check_dimensions(len(value))
        found = value.tolist() if convertible else list(islice(value, MAX_DIMENSIONS + 1))
    except InvalidInputError:
        raise
    except Exception as error:  # noqa: BLE001 - raised by a method of the caller's object
        raise unreadable("value", error) from None
    if type(found) is not list:
        raise InvalidInputError("value must be a list of numbers", field="value")
    return found


def _refuse_non_numbers(numbers: list[Any]) -> None:
    for position, number in enumerate(numbers):
        kind = type(number)
        if kind is bool or not issubclass(kind, (Real, Decimal)):
            raise InvalidInputError(f"value[{position}] must be a number", field="value")


def _as_float(number: Any, position: int) -> float:
    try:
        return float(number)
    except OverflowError:
        raise InvalidInputError(
            f"value[{position}] is too large for float32", field="value"
        ) from None
    except Exception as error:  # noqa: BLE001 - raised by a number of the caller's own kind
        refused = unreadable(f"value[{position}]", error)
        refused.details["field"] = "value"
        raise refused from None


def _explain(numbers: list[Any]) -> NoReturn:
    """Raise for the first number that float32 cannot hold."""
    for position, number in enumerate(numbers):
        if number != number:
            raise InvalidInputError(f"value[{position}] must not be NaN", field="value")
        if number in (math.inf, -math.inf):
            raise InvalidInputError(f"value[{position}] must not be infinity", field="value")
        if abs(number) > _FLOAT32_MAX:
            raise InvalidInputError(f"value[{position}] is too large for float32", field="value")
    raise InvalidInputError("value has a number too large for float32", field="value")


_FLOAT32_MAX = (2 - 2**-23) * 2.0**127
