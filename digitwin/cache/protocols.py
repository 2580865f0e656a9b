"""What the cache offers, for a fake to put in its place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal, Protocol, TypeVar, overload
from uuid import UUID

from digitwin.cache.codecs import Array, Vector
from digitwin.cache.fields import Audience
from digitwin.cache.statistics import StoreStatistics

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class CacheStore(Protocol[In, Out]):
    """See :class:`~digitwin.cache.store.Store` for what each one promises."""

    async def get(
        self, key: str, *, user_id: UUID | str | None = None, audience: Audience = "owner"
    ) -> Out | None: ...

    async def get_many(
        self,
        keys: Iterable[str],
        *,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> Mapping[str, Out]: ...

    async def set(
        self,
        key: str,
        value: In,
        *,
        ttl: float | timedelta | None = None,
        tags: Iterable[str] = (),
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> None: ...

    async def get_or_create(
        self,
        key: str,
        factory: Callable[[], Awaitable[In]],
        *,
        ttl: float | timedelta | None = None,
        stale_while_revalidate: float | timedelta | None = None,
        tags: Iterable[str] = (),
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> Out: ...

    async def delete(
        self, key: str, *, user_id: UUID | str | None = None, audience: Audience = "owner"
    ) -> bool: ...

    async def invalidate(
        self, *, tag: str | None = None, user_id: UUID | str | None = None
    ) -> int: ...


class EmbeddingCacheStore(CacheStore[Vector, list[float]], Protocol):
    """See :class:`~digitwin.cache.embeddings.EmbeddingStore`."""

    @overload
    async def get(
        self,
        key: str,
        *,
        as_numpy: Literal[False] = False,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> list[float] | None: ...

    @overload
    async def get(
        self,
        key: str,
        *,
        as_numpy: Literal[True],
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> Array | None: ...

    @overload
    async def get_many(
        self,
        keys: Iterable[str],
        *,
        as_numpy: Literal[False] = False,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> Mapping[str, list[float]]: ...

    @overload
    async def get_many(
        self,
        keys: Iterable[str],
        *,
        as_numpy: Literal[True],
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> Mapping[str, Array]: ...

    @overload
    async def get_or_create(
        self,
        key: str,
        factory: Callable[[], Awaitable[Vector]],
        *,
        as_numpy: Literal[False] = False,
        ttl: float | timedelta | None = None,
        stale_while_revalidate: float | timedelta | None = None,
        tags: Iterable[str] = (),
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> list[float]: ...

    @overload
    async def get_or_create(
        self,
        key: str,
        factory: Callable[[], Awaitable[Vector]],
        *,
        as_numpy: Literal[True],
        ttl: float | timedelta | None = None,
        stale_while_revalidate: float | timedelta | None = None,
        tags: Iterable[str] = (),
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> Array: ...


class Cache(Protocol):
    """See :class:`~digitwin.cache.repository.CacheRepository`."""

    @property
    def embeddings(self) -> EmbeddingCacheStore: ...

    @property
    def searches(self) -> CacheStore[Any, Any]: ...

    @property
    def responses(self) -> CacheStore[Any, Any]: ...

    async def purge_expired(self) -> Mapping[str, int]: ...

    async def make_room(self) -> Mapping[str, int]: ...

    async def statistics(self) -> Mapping[str, StoreStatistics]: ...
