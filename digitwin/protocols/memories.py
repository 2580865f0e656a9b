"""What a twin remembers of a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from digitwin.memories.fields import Audience
from digitwin.memories.memory import Memory, MemoryHit
from digitwin.memories.operations import Operation, Result
from digitwin.protocols.entities import Id, Seconds


class Memories(Protocol):
    """``db.memories``: see :class:`~digitwin.memories.repository.MemoryRepository`."""

    async def put(
        self,
        namespace: Sequence[str],
        key: str,
        value: Mapping[str, Any],
        *,
        user_id: Id | None = None,
        audience: Audience = "owner",
        ttl: Seconds | None = None,
        text: str | None = None,
        language: str | None = None,
    ) -> None: ...
    async def get(
        self,
        namespace: Sequence[str],
        key: str,
        *,
        user_id: Id | None = None,
        audience: Audience = "owner",
        refresh: bool = False,
    ) -> Memory: ...
    async def find(
        self,
        namespace: Sequence[str],
        key: str,
        *,
        user_id: Id | None = None,
        audience: Audience = "owner",
        refresh: bool = False,
    ) -> Memory | None: ...
    async def delete(
        self,
        namespace: Sequence[str],
        key: str,
        *,
        user_id: Id | None = None,
        audience: Audience = "owner",
    ) -> bool: ...
    async def search(
        self,
        prefix: Sequence[str] = (),
        *,
        query: str | None = None,
        filter: Mapping[str, Any] | None = None,
        limit: int = 10,
        offset: int = 0,
        user_id: Id | None = None,
        audience: Audience = "owner",
        refresh: bool = False,
    ) -> list[MemoryHit]: ...
    async def namespaces(
        self,
        *,
        prefix: Sequence[str] = (),
        suffix: Sequence[str] = (),
        max_depth: int | None = None,
        limit: int = 100,
        offset: int = 0,
        user_id: Id | None = None,
        audience: Audience = "owner",
    ) -> list[tuple[str, ...]]: ...
    async def batch(
        self,
        operations: Iterable[Operation],
        *,
        user_id: Id | None = None,
        audience: Audience = "owner",
    ) -> list[Result]: ...
