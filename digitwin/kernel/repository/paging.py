"""Pages by key: the next page starts behind the last row seen, however the table changes."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from digitwin.errors import InvalidInputError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and where the next ones begin: pass ``next_cursor`` as ``after``."""

    items: list[T]
    next_cursor: str | None


def encode_cursor(id: UUID) -> str:
    """A cursor behind this row: opaque, and safe in a URL."""
    return base64.urlsafe_b64encode(id.bytes).rstrip(b"=").decode()


def decode_cursor(cursor: object, field: str = "after") -> UUID:
    """The row a cursor stands behind.

    Raises:
        InvalidInputError: no ``next_cursor`` of ours; ``field`` is named.
    """
    try:
        id = UUID(bytes=base64.urlsafe_b64decode(f"{cursor}=="))
        if cursor == encode_cursor(id):
            return id
    except (ValueError, binascii.Error):
        pass
    raise InvalidInputError(f"{field} must be the next_cursor of a page", field=field)
