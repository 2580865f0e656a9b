"""Encoding and validation of JSON for jsonb columns."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from pydantic_core import from_json

MAX_DEPTH = 64
"""Maximum nesting: Python's encoder fails near 1,000 levels, other readers earlier."""

MAX_BYTES = 1_048_576
"""Maximum size of an encoded value in bytes."""

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1


dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
"""Encode compact JSON for a jsonb parameter; ``json.dumps`` would create an encoder per call."""


def loads(text: str | bytes | None) -> Any:
    """Decode a jsonb column. Pydantic's parser is four times as fast as Python's.

    It rejects deep nesting that Python's accepts; only other programs write such values.
    """
    if text is None:
        return None
    try:
        return from_json(text)
    except ValueError:
        return json.loads(text)


def json_error(value: Any) -> str | None:
    """Return why jsonb cannot store this value without loss, or None if it can."""
    found = fault(value)
    if found is None and len(dumps(value).encode()) > MAX_BYTES:
        return TOO_LARGE
    return found


def fault(value: Any) -> str | None:
    """As :func:`json_error`, without the size check, for callers that encode the value anyway.

    Iterative, with early exit: a deep, wide or circular input costs no more than the largest
    valid one.
    """
    levels: list[Iterator[Any]] = [iter((value,))]
    seen = 0
    while levels:
        for item in levels[-1]:
            seen += 1
            found = _item_error(item)
            if found is not None:
                return found
            if issubclass(type(item), _CONTAINERS):
                levels.append(_parts(item))
                break
        else:
            levels.pop()
        if len(levels) > MAX_DEPTH + 1:
            return f"must not be nested deeper than {MAX_DEPTH} levels"
        if seen > MAX_BYTES:
            return TOO_LARGE
    return None


TOO_LARGE = f"must not be larger than {MAX_BYTES:,} bytes of JSON"


_CONTAINERS = (dict, list, tuple)


def _parts(item: Any) -> Iterator[Any]:
    if not issubclass(type(item), dict):
        return iter(item)
    return chain(_keys(item), dict.values(item))


def _keys(item: dict[Any, Any]) -> Iterable[Any]:
    """Yield the keys, with a marker in place of each that is not a string."""
    return (key if issubclass(type(key), str) else _BadKey for key in dict.keys(item))


class _BadKey:
    """Marker for a key that is not a string."""


def _item_error(item: Any) -> str | None:
    kind = type(item)  # not isinstance(), which asks the value
    if kind is str:
        return text_error(item)
    if item is None or kind in _PLAIN:
        return None
    if issubclass(kind, str):
        return text_error(str.__str__(item))
    if issubclass(kind, int):
        return None if _INT_MIN <= int.__int__(item) <= _INT_MAX else _TOO_LONG
    if issubclass(kind, float):
        return None if math.isfinite(float.__float__(item)) else _NOT_FINITE
    if item is _BadKey:
        return "must have string keys"
    if _is_container(kind):
        return None
    return f"must not contain a value of type {kind.__name__}, which JSON does not have"


_PLAIN = frozenset({bool, dict, list, tuple})
_TOO_LONG = "must not contain an integer beyond 64 bits"
_NOT_FINITE = "must not contain NaN or infinity"
_READ_BY: dict[type, tuple[str, tuple[Any, ...]]] = {
    dict: ("items", (dict.items, OrderedDict.items)),
    list: ("__iter__", (list.__iter__,)),
    tuple: ("__iter__", (tuple.__iter__,)),
}
"""The method by which the encoder reads a container. A subclass that has another one is refused:
what it returns may differ from what is checked here."""


def _is_container(kind: type) -> bool:
    """Return whether the encoder reads this kind as it reads a dict, a list or a tuple."""
    return any(
        issubclass(kind, base) and getattr(kind, reader) in known
        for base, (reader, known) in _READ_BY.items()
    )


def text_error(item: str) -> str | None:
    """Return why a text column cannot store this, or None if it can."""
    if "\0" in item:
        return "must not contain a NUL character"
    try:
        item.encode()
    except UnicodeEncodeError:
        return "must not contain a lone surrogate"
    return None
