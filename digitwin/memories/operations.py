"""What ``db.memories.batch`` can do; each does what the method of its name does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias

from digitwin.memories.memory import Memory, MemoryHit


@dataclass(frozen=True, slots=True)
class FindMemory:
    """See :meth:`MemoryRepository.find`; its result is the memory, or None."""

    namespace: Sequence[str] = field(repr=False)
    key: str = field(repr=False)
    refresh: bool = False


@dataclass(frozen=True, slots=True)
class SearchMemories:
    """See :meth:`MemoryRepository.search`; its result is a list of hits."""

    prefix: Sequence[str] = field(default=(), repr=False)
    query: str | None = field(default=None, repr=False)
    filter: Mapping[str, Any] | None = field(default=None, repr=False)
    limit: int = 10
    offset: int = 0
    refresh: bool = False


@dataclass(frozen=True, slots=True)
class ListNamespaces:
    """See :meth:`MemoryRepository.namespaces`; its result is a list of namespaces.

    There may be several of both conditions.
    """

    prefixes: Sequence[Sequence[str]] = field(default=(), repr=False)
    suffixes: Sequence[Sequence[str]] = field(default=(), repr=False)
    max_depth: int | None = None
    limit: int = 100
    offset: int = 0


@dataclass(frozen=True, slots=True)
class PutMemory:
    """See :meth:`MemoryRepository.put`; its result is None."""

    namespace: Sequence[str] = field(repr=False)
    key: str = field(repr=False)
    value: Mapping[str, Any] = field(repr=False)
    ttl: float | timedelta | None = None
    text: str | None = field(default=None, repr=False)
    language: str | None = None


@dataclass(frozen=True, slots=True)
class DeleteMemory:
    """See :meth:`MemoryRepository.delete`; its result is whether this deleted a memory."""

    namespace: Sequence[str] = field(repr=False)
    key: str = field(repr=False)


Operation: TypeAlias = FindMemory | SearchMemories | ListNamespaces | PutMemory | DeleteMemory
Result: TypeAlias = Memory | list[MemoryHit] | list[tuple[str, ...]] | bool | None
