"""Encoding and validation of JSON for jsonb columns."""

from __future__ import annotations

import json
import math
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


def loads(text: str | None) -> Any:
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
            if isinstance(item, (dict, list, tuple)):
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


def _parts(item: Any) -> Iterator[Any]:
    if not isinstance(item, dict):
        return iter(item)
    return chain(_keys(item), item.values())


def _keys(item: dict[Any, Any]) -> Iterable[Any]:
    """Yield the keys, with a marker in place of each that is not a string."""
    return (key if isinstance(key, str) else _BadKey for key in item)


class _BadKey:
    """Marker for a key that is not a string."""


def _item_error(item: Any) -> str | None:
    if item is None or isinstance(item, (bool, dict, list, tuple)):
        return None
    if isinstance(item, str):
        return text_error(item)
    if isinstance(item, int):
        return (
            None if _INT_MIN <= item <= _INT_MAX else "must not contain an integer beyond 64 bits"
        )
    if isinstance(item, float):
        return None if math.isfinite(item) else "must not contain NaN or infinity"
    if item is _BadKey:
        return "must have string keys"
    return f"must not contain a value of type {type(item).__name__}, which JSON does not have"


def text_error(item: str) -> str | None:
    """Return why a text column cannot store this, or None if it can."""
    if "\0" in item:
        return "must not contain a NUL character"
    try:
        item.encode()
    except UnicodeEncodeError:
        return "must not contain a lone surrogate"
    return None
