"""JSON as jsonb stores it and as it comes back: checked first, then written compactly."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from pydantic_core import from_json

MAX_DEPTH = 64
"""Levels of nesting: Python's own encoder gives up near 1,000, readers elsewhere sooner."""

MAX_BYTES = 1_048_576
"""Bytes of one encoded value: more belongs into a document."""

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1


dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
"""Compact JSON for a jsonb parameter; one encoder for all, where ``json.dumps`` makes one each."""


def loads(text: str | None) -> Any:
    """What a jsonb column holds; pydantic's parser takes a quarter of the time of Python's.

    It gives up on nesting that Python's still reads; only others than digitwin write that.
    """
    if text is None:
        return None
    try:
        return from_json(text)
    except ValueError:
        return json.loads(text)


def complaint(value: Any) -> str | None:
    """Why jsonb cannot hold this value and give it back, or None when it can."""
    found = fault(value)
    if found is None and len(dumps(value).encode()) > MAX_BYTES:
        return TOO_LARGE
    return found


def fault(value: Any) -> str | None:
    """As :func:`complaint`, for whoever encodes the value anyway and sees its size then.

    Walks without recursion and stops early, so that no input, however deep, wide or circular,
    costs more than the largest one allowed.
    """
    levels: list[Iterator[Any]] = [iter((value,))]
    seen = 0
    while levels:
        for item in levels[-1]:
            seen += 1
            found = _complaint_about(item)
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
    """Keys as values, where one that is no string comes as something that cannot be JSON."""
    return (key if isinstance(key, str) else _BadKey for key in item)


class _BadKey:
    """Stands for a key that is not a string."""


def _complaint_about(item: Any) -> str | None:
    if item is None or isinstance(item, (bool, dict, list, tuple)):
        return None
    if isinstance(item, str):
        return complaint_about_text(item)
    if isinstance(item, int):
        return None if _INT_MIN <= item <= _INT_MAX else "must not hold an integer beyond 64 bits"
    if isinstance(item, float):
        return None if math.isfinite(item) else "must not hold NaN or infinity"
    if item is _BadKey:
        return "must have strings for keys"
    return f"must not hold a value of type {type(item).__name__}: JSON has none"


def complaint_about_text(item: str) -> str | None:
    """Why no text column can hold this, or None when one can."""
    if "\0" in item:
        return "must not hold a NUL character"
    try:
        item.encode()
    except UnicodeEncodeError:
        return "must not hold a lone surrogate"
    return None
