"""Keyset pagination: rows inserted or deleted between two pages shift nothing."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from digitwin.errors import InvalidInputError

T = TypeVar("T")

_CURSOR = re.compile(r"[A-Za-z0-9_-]{22}")
"""The base64 of an id's 16 bytes."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of rows.

    Attributes:
        items: the rows.
        next_cursor: pass it as ``after`` to get the next page; None on the last one.
    """

    items: list[T]
    next_cursor: str | None


def page_of(rows: list[T], size: int, id_of: Callable[[T], UUID]) -> Page[T]:
    """Return the page of these rows, of which one more than ``size`` was read."""
    more = len(rows) > size
    rows = rows[:size]
    return Page(rows, encode_cursor(id_of(rows[-1])) if more else None)


def encode_cursor(id: UUID) -> str:
    """Return the opaque, URL-safe cursor that starts after this row."""
    return base64.urlsafe_b64encode(id.bytes).rstrip(b"=").decode()


def decode_cursor(cursor: object, field: str = "after") -> UUID:
    """Return the id after which the cursor's page starts.

    Raises:
        InvalidInputError: it is not a ``next_cursor``; names ``field``.
    """
    found = _CURSOR.fullmatch(cursor) if issubclass(type(cursor), str) else None  # type: ignore[call-overload]
    if found is not None:
        id = UUID(bytes=base64.urlsafe_b64decode(f"{found[0]}=="))
        if found[0] == encode_cursor(id):
            return id
    raise InvalidInputError(f"{field} must be the next_cursor of a page", field=field)
