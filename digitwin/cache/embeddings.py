"""The store of vectors, as lists or as NumPy arrays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any, Literal, overload
from uuid import UUID

from digitwin.cache import fields
from digitwin.cache.codecs import Array, Vector, VectorCodec, require_numpy
from digitwin.cache.fields import Audience
from digitwin.cache.store import Store
from digitwin.kernel.execution.operations import operation


class EmbeddingStore(Store[Vector, list[float]]):
    """A :class:`~digitwin.cache.store.Store` of vectors.

    Reads return lists of float, or with ``as_numpy=True`` arrays of float32, each a copy of the
    caller's own. ``as_numpy`` raises ``ConfigurationError`` if NumPy (the extra ``numpy``) is
    not installed.
    """

    _codec: VectorCodec

    @overload
    async def get(
        self,
        /,
        key: str,
        *,
        as_numpy: Literal[False] = False,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> list[float] | None: ...

    @overload
    async def get(
        self,
        /,
        key: str,
        *,
        as_numpy: Literal[True],
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> Array | None: ...

    @operation
    async def get(
        self,
        key: str,
        *,
        as_numpy: bool = False,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> Any:
        """Return the vector, or None if there is none or it has expired."""
        decode = self._decoder(as_numpy)
        stored = await self._get(fields.entry_key(key, user_id, audience))
        return None if stored is None else decode(stored)

    @overload
    async def get_many(
        self,
        /,
        keys: Iterable[str],
        *,
        as_numpy: Literal[False] = False,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> dict[str, list[float]]: ...

    @overload
    async def get_many(
        self,
        /,
        keys: Iterable[str],
        *,
        as_numpy: Literal[True],
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> dict[str, Array]: ...

    @operation
    async def get_many(
        self,
        keys: Iterable[str],
        *,
        as_numpy: bool = False,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> Any:
        """As :meth:`Store.get_many`."""
        decode = self._decoder(as_numpy)
        found = await self._get_many(keys, user_id, audience)
        return {key: decode(stored) for key, stored in found.items()}

    @overload
    async def get_or_create(
        self,
        /,
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
        /,
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

    @operation
    async def get_or_create(
        self,
        key: str,
        factory: Callable[[], Awaitable[Vector]],
        *,
        as_numpy: bool = False,
        ttl: float | timedelta | None = None,
        stale_while_revalidate: float | timedelta | None = None,
        tags: Iterable[str] = (),
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> Any:
        """As :meth:`Store.get_or_create`."""
        decode = self._decoder(as_numpy)
        entry_key = fields.entry_key(key, user_id, audience)
        terms = (
            *fields.ttl_and_tags(ttl, tags, self._ttl),
            fields.stale_time(stale_while_revalidate),
        )
        return decode(await self._get_or_create(entry_key, factory, *terms))

    def _decoder(self, as_numpy: bool) -> Callable[[bytes], Any]:
        """Return the decoder; without NumPy it raises, before a factory runs in vain."""
        if not as_numpy:
            return self._codec.decode
        require_numpy()
        return self._codec.decode_numpy
