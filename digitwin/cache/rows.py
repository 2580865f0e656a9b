"""Entries as a store's table holds them."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from digitwin.cache.fields import EntryKey


class CacheRow(NamedTuple):
    """An entry to be stored."""

    user_id: UUID
    audience: str
    key: str
    stored: bytes | str
    tags: list[str]
    size: int
    """Bytes of ``stored``."""
    ttl: float
    """Seconds."""
    stale: float = 0.0
    """Seconds after its expiry during which it may still be served stale."""

    @property
    def entry_key(self) -> EntryKey:
        return EntryKey(*self[:3])


class Lookup(NamedTuple):
    """A stored value and the epochs of its invalidation targets, from one snapshot."""

    stored: Any
    epochs: list[int]
    stale: bool = False
    """The value has expired."""


Found: TypeAlias = tuple[Any, ...]
"""A stored value, and what the local cache needs of it; empty if there is none."""
