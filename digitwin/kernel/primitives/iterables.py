"""Reads what callers give as lists and as rows, without trusting it.

The kind and the length come first: no item of a text is looked at, and no more items than are
allowed are taken from an iterable that never ends.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.validation import MAX_FIELDS, bounded, unreadable

_NO_LISTS = (str, bytes, bytearray, memoryview, Mapping)
"""Iterables that are one value, not a list of values."""


def listed(values: Any, field: str, *, at_most: int, of: str = "items") -> list[Any]:
    """Return the items of a list, or of another iterable.

    Args:
        values: a list, a generator, a set, or the like.
        field: the name of the argument, for the error.
        at_most: more items than this are refused.
        of: what the items are, for the error.

    Raises:
        InvalidInputError: it is no list, has too many items, or raises when it is read.
    """
    kind = type(values)
    if kind is list or kind is tuple:
        bounded(len(values), field, at_least=0, at_most=at_most)
        return list(values)
    if issubclass(kind, _NO_LISTS) or not hasattr(kind, "__iter__"):
        raise InvalidInputError(f"{field} must be a list of {of}", field=field)
    try:
        if issubclass(kind, Collection):
            bounded(len(values), field, at_least=0, at_most=at_most)
        items = list(islice(values, at_most + 1))
    except InvalidInputError:
        raise
    except Exception as error:  # noqa: BLE001 - raised by a method of the caller's iterable
        raise unreadable(field, error) from None
    bounded(len(items), field, at_least=0, at_most=at_most)
    return items


def mapped(values: Any, field: str, *, at_most: int) -> dict[Any, Any]:
    """Return a copy of a dict, or of another mapping.

    Args:
        values: a mapping.
        field: the name of the argument, for the error.
        at_most: more items than this are refused.

    Raises:
        InvalidInputError: it is no mapping, has too many items, or raises when it is read.
    """
    if not issubclass(type(values), Mapping):
        raise InvalidInputError(f"{field} must be a dict", field=field)
    try:
        found = _copied(values, at_most)
    except Exception as error:  # noqa: BLE001 - raised by a method of the caller's mapping
        raise unreadable(field, error) from None
    bounded(len(found), field, at_least=0, at_most=at_most)
    return found


def fields_of(row: Any, place: str, field: str) -> dict[str, Any]:
    """Return a copy of a row's fields.

    Args:
        row: a mapping.
        place: the row's place in its list, such as ``rows[3]``, for the error.
        field: the name of the argument, for the error.

    Raises:
        InvalidInputError: it is no mapping, has too many fields, or raises when it is read.
    """
    if not issubclass(type(row), Mapping):
        raise InvalidInputError(f"{place} must be a dict of fields", field=field)
    try:
        found = _copied(row, MAX_FIELDS)
    except Exception as error:  # noqa: BLE001 - raised by a method of the caller's mapping
        refused = unreadable(place, error)
        refused.details["field"] = field
        raise refused from None
    if len(found) > MAX_FIELDS:
        raise InvalidInputError(f"{place} must be a dict of fields", field=field, limit=MAX_FIELDS)
    return found


def _copied(values: Any, at_most: int) -> dict[Any, Any]:
    """Return a copy of a mapping, or of one item more than are allowed."""
    if type(values) is dict:
        return dict(islice(values.items(), at_most + 1))
    return {name: values[name] for name in islice(values, at_most + 1)}
